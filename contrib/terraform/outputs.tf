output "public_address" {
  description = "Address by which the host is reached over the public uplink"
  value       = aws_eip.public.public_ip
}

output "private_address" {
  description = "Address by which it is reached over the private one"
  value       = aws_network_interface.private.private_ip
}
