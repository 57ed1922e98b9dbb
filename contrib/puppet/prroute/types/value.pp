# @summary What a key of the configuration may have.
type Prroute::Value = Variant[String, Integer, Boolean, Array[Variant[String, Integer]]]
