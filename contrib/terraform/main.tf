# A host with a public and a private uplink on AWS, which answers on both of them.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      # `network_interface` of an instance is deprecated since 6.10: another major version may not know it.
      version = ">= 5.0, < 7.0"
    }
  }
}

resource "aws_network_interface" "public" {
  description     = "${var.name}, public"
  subnet_id       = var.public_subnet_id
  security_groups = var.public_security_group_ids

  tags = {
    Name = "${var.name}-public"
  }
}

resource "aws_network_interface" "private" {
  description     = "${var.name}, private"
  subnet_id       = var.private_subnet_id
  security_groups = var.private_security_group_ids

  tags = {
    Name = "${var.name}-private"
  }
}

resource "aws_eip" "public" {
  domain            = "vpc"
  network_interface = aws_network_interface.public.id

  tags = {
    Name = var.name
  }
}

resource "aws_instance" "host" {
  ami           = var.ami
  instance_type = var.instance_type

  # The first one has the preferred default route.
  network_interface {
    device_index         = 0
    network_interface_id = aws_network_interface.public.id
  }

  network_interface {
    device_index         = 1
    network_interface_id = aws_network_interface.private.id
  }

  user_data = templatefile("${path.module}/../cloud-init/user-data.yaml", {
    public_mac           = aws_network_interface.public.mac_address
    private_mac          = aws_network_interface.private.mac_address
    private_destinations = jsonencode(var.private_destinations)
    package_url          = var.package_url
    package_sha256       = var.package_sha256
  })
  user_data_replace_on_change = true

  # The package is fetched when it boots.
  depends_on = [aws_eip.public]

  tags = {
    Name = var.name
  }
}
