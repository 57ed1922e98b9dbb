# @summary Installs prroute, writes its configuration, and has it follow each change.
#
# @param uplinks
#   One `[[uplink]]` each, in this order. The keys are prroute's: `name` or `mac`, `to`, `gateway`, ...
# @param settings
#   What stands before them, as `mode`. prroute knows the keys, and refuses others.
# @param path
#   The file, /etc/prroute/prroute.toml or one of /etc/prroute/conf.d.
# @param package_source
#   A Debian package on the host. Without it apt is asked for the package.
# @param manage_package
#   Whether to install prroute: not where cloud-init or an image does.
# @param manage_service
#   Whether to start prroute, now and at boot, and to reload it after a change.
class prroute (
  Array[Hash[String[1], Prroute::Value, 1]] $uplinks = [],
  Hash[String[1], Prroute::Value] $settings = {},
  Pattern[/\A\/etc\/prroute\/(conf\.d\/)?[^\/]+\.toml\z/] $path = '/etc/prroute/prroute.toml',
  Optional[String[1]] $package_source = undef,
  Boolean $manage_package = true,
  Boolean $manage_service = true,
) {
  if $manage_package {
    $from = $package_source ? {
      undef   => {},
      default => { 'provider' => 'dpkg', 'source' => $package_source },
    }
    package { 'prroute':
      ensure => installed,
      before => File[$path],
      *      => $from,
    }
  }

  file { ['/etc/prroute', '/etc/prroute/conf.d']:
    ensure => directory,
  }

  # A file with a mistake is refused, and the one before it stays.
  file { $path:
    ensure       => file,
    owner        => 'root',
    group        => 'root',
    mode         => '0644',
    content      => epp('prroute/prroute.toml.epp', { 'settings' => $settings, 'uplinks' => $uplinks }),
    validate_cmd => 'prroute check --offline %',
  }

  if $manage_service {
    # A reload, which loses no packet: a restart is needed for nothing in the file.
    service { 'prroute':
      ensure    => running,
      enable    => true,
      restart   => 'systemctl reload prroute.service',
      subscribe => File[$path],
    }
  }
}
