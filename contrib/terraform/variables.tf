variable "name" {
  description = "Name of the host, and of what belongs to it"
  type        = string
  default     = "prroute"
}

variable "ami" {
  description = "Image of the host: Debian 12 with cloud-init"
  type        = string
}

variable "instance_type" {
  description = "Type of the instance, which must allow two network interfaces"
  type        = string
  default     = "t3.small"
}

variable "public_subnet_id" {
  description = "Subnet whose default route is an internet gateway"
  type        = string
}

variable "private_subnet_id" {
  description = "Subnet whose default route leads to the internal network, in the same availability zone"
  type        = string
}

variable "public_security_group_ids" {
  description = "Security groups of the public interface"
  type        = list(string)
}

variable "private_security_group_ids" {
  description = "Security groups of the private interface"
  type        = list(string)
}

variable "private_destinations" {
  description = "Addresses and prefixes that are reached over the private uplink"
  type        = list(string)
  default     = []
}

variable "package_url" {
  description = "Where the host fetches prroute's Debian package when it boots for the first time"
  type        = string
}

variable "package_sha256" {
  description = "Its checksum, as in SHA256SUMS"
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.package_sha256))
    error_message = "A SHA-256 checksum has 64 hexadecimal digits."
  }
}
