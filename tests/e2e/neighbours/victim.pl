# Sends to the host first, so that the host's answers are expected; prints each datagram that comes.
# Arguments: its own UDP port, the host's address and port.
use strict;
use warnings;
use Socket;

my ( $own_port, $host, $host_port ) = @ARGV;
$| = 1;
socket( my $socket, AF_INET, SOCK_DGRAM, 0 ) or die "socket: $!";
bind( $socket, pack_sockaddr_in( $own_port, INADDR_ANY ) ) or die "bind: $!";
send( $socket, 'hello', 0, pack_sockaddr_in( $host_port, inet_aton($host) ) ) or die "send: $!";
while ( defined recv $socket, my $text, 100, 0 ) {
    print "got $text\n";
    last if $text eq 'end';
}
