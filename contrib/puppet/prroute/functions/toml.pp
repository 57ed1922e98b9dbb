# @summary A value, as TOML has it.
function prroute::toml(Prroute::Value $value) >> String {
  $value ? {
    Array   => "[${$value.map |$item| { prroute::toml($item) }.join(', ')}]",
    default => String($value, '%#p'),
  }
}
