//! Ports of sandboxes over HTTP: by a path with a key, and at an origin of their own with a ticket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Server;
use crate::support::{DEBIAN, Stage, eventually};

/// A server inside: it tells the head that it was sent, takes bodies, streams, sets cookies and changes protocols.
const INSIDE: &str = r#"
use IO::Socket::INET;
$| = 1; $SIG{CHLD} = 'IGNORE'; $SIG{PIPE} = 'IGNORE';
my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 3000, Listen => 300, ReuseAddr => 1) or die $!;
while (1) {
    my $client = $socket->accept or next;
    if (fork) { close $client; next }
    binmode $client; $client->autoflush(1);
    while (1) {
        my $head = '';
        while ($head !~ /\r\n\r\n/) { my $line = <$client>; exit unless defined $line; $head .= $line }
        my ($length) = $head =~ /^content-length: *(\d+)/im;
        my $body = 0;
        my $take = sub {
            my ($left, $some) = @_;
            while ($left) { my $count = read $client, $some, $left > 65536 ? 65536 : $left; exit unless $count; $left -= $count }
        };
        if ($head =~ /^transfer-encoding: *chunked/im) {
            while (1) { my $size = hex(<$client>); $take->($size + 2); last unless $size; $body += $size }
        } elsif ($length) { $take->($length); $body = $length }
        my ($path) = $head =~ /^\S+ (\S+)/;
        if ($path eq '/up') {
            print $client "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: loud\r\n\r\n";
            while (sysread $client, my $bytes, 65536) { print $client uc $bytes }
            exit;
        } elsif ($path eq '/events') {
            print $client "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            for my $count (1 .. 3) { my $data = "data: $count\n\n"; printf $client "%x\r\n%s\r\n", length $data, $data; sleep 1 }
            print $client "0\r\n\r\n";
        } elsif ($path =~ m{^/big/(\d+)}) {
            my $size = $1 << 20; my $some = 'b' x 65536;
            print $client "HTTP/1.1 200 OK\r\nContent-Length: $size\r\n\r\n";
            for (1 .. $size >> 16) { print $client $some }
        } else {
            my $text = "$head<$body>";
            my $set = "Set-Cookie: a=b; Domain=localhost; Path=/\r\nSet-Cookie: amika_port=evil\r\n";
            printf $client "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", $set, length $text, $text;
        }
    }
}
"#;

struct Asked {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Asked {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a head, and what is to follow it; reads the head of the answer.
fn begin(server: &Server<'_>, head: &str, body: &[u8]) -> (String, BufReader<TcpStream>) {
    begin_at(server.address(), head, body)
}

fn begin_at(address: &str, head: &str, body: &[u8]) -> (String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(answer.read_line(&mut head).unwrap() > 0, "{head:?}");
    }
    (head, answer)
}

fn ask(server: &Server<'_>, method: &str, target: &str, headers: &str, body: &[u8]) -> Asked {
    ask_at(server.address(), method, target, headers, body)
}

fn ask_at(address: &str, method: &str, target: &str, headers: &str, body: &[u8]) -> Asked {
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let (head, mut answer) = begin_at(address, &request, body);
    let mut body = Vec::new();
    answer.read_to_end(&mut body).unwrap();
    Asked {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head,
        body,
    }
}

/// A sandbox that serves, and its id.
fn serving(server: &Server<'_>) -> String {
    let made = server.create(DEBIAN, json!({}));
    let id = made["id"].as_str().unwrap().to_owned();
    let cmd = json!({ "cmd": ["sh", "-c", "perl -e \"$0\" >/dev/null 2>&1 &", INSIDE] });
    server
        .post(&format!("/sandboxes/{id}/exec"), &cmd)
        .expect(200);
    eventually("it listens", || {
        server
            .socket(&server.admin, &format!("/sandboxes/{id}/tunnel/3000"))
            .is_ok()
    });
    id
}

/// The host name of a port, and the cookie that its origin gives for a ticket.
fn opened(server: &Server<'_>, key: &str, id: &str) -> (String, String) {
    let wanted = json!({ "sandbox": id, "port": 3000 });
    let ticket = server
        .ask(key, "POST", "/tickets", Some(&wanted))
        .expect(200);
    let url = ticket["url"].as_str().unwrap();
    let (origin, ticket) = url.split_once("/.amika/open#").unwrap();
    let host = origin.strip_prefix("http://").unwrap().to_owned();
    assert!(host.starts_with(&format!("3000-{id}.localhost:")), "{url}");
    let page = ask(
        server,
        "GET",
        "/.amika/open",
        &format!("Host: {host}\r\n"),
        b"",
    );
    assert!(page.text().contains("location.hash"), "{}", page.head);
    let headers = format!("Host: {host}\r\nOrigin: {origin}\r\n");
    let given = ask(server, "POST", "/.amika/open", &headers, ticket.as_bytes());
    assert_eq!(given.status, 204, "{}", given.text());
    let cookie = given
        .head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    let again = ask(server, "POST", "/.amika/open", &headers, ticket.as_bytes());
    assert_eq!(again.status, 401, "once");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    (host, cookie)
}

#[test]
fn a_port_has_an_origin_of_its_own_that_takes_a_ticket_and_nothing_of_the_page() {
    let stage = Stage::new();
    let mut server = Server::start(&stage, &[]);
    let id = serving(&server);
    let (host, cookie) = opened(&server, &server.admin, &id);
    let own = format!("Host: {host}\r\nCookie: mine=1; {cookie}; amika_session=secret\r\n");

    // As it was sent, less what is the server's.
    let headers = format!(
        "{own}X-Amika-Session: secret\r\nAuthorization: Basic dTpw\r\nX-Real-Ip: 6.6.6.6\r\n"
    );
    let answer = ask(&server, "POST", "/a%2Fb?x=%20", &headers, b"12345");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = answer.text();
    assert!(
        seen.starts_with("POST /a%2Fb?x=%20 HTTP/1.1\r\n") && seen.ends_with("<5>"),
        "{seen}"
    );
    assert!(
        seen.contains("cookie: mine=1\r\n") && seen.contains("authorization: Basic dTpw"),
        "{seen}"
    );
    assert!(
        seen.contains(&format!("host: {host}\r\n")) && seen.contains("x-forwarded-for: 127.0.0.1"),
        "{seen}"
    );
    assert!(
        !seen.contains("secret") && !seen.contains("6.6.6.6"),
        "{seen}"
    );
    let set: Vec<&str> = answer
        .head
        .lines()
        .filter(|it| it.starts_with("set-cookie"))
        .collect();
    assert_eq!(set, ["set-cookie: a=b; Path=/"]);

    // Nobody else: no cookie, another page's request, another address of the sandbox, another port's or sandbox's name.
    let foreign = |more: &str| ask(&server, "GET", "/", &format!("{own}{more}"), b"").status;
    assert_eq!(foreign(""), 200);
    for (more, status) in [
        ("Origin: http://localhost:1\r\n", 403),
        ("Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\n", 403),
        (
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
            200,
        ),
    ] {
        assert_eq!(foreign(more), status, "{more}");
    }
    let bare = format!("Host: {host}\r\nAuthorization: Bearer {}\r\n", server.admin);
    assert_eq!(
        ask(&server, "GET", "/", &bare, b"").status,
        401,
        "no key of the server's"
    );
    let other = own.replace("3000-", "3001-");
    assert_eq!(ask(&server, "GET", "/", &other, b"").status, 401);
    let evil = own.replace(".localhost", ".localhost.evil.example");
    assert_eq!(ask(&server, "GET", "/", &evil, b"").status, 421);
    let reserved = own.replace("3000-", "60999-");
    assert_eq!(ask(&server, "GET", "/", &reserved, b"").status, 400);
    // What the page has is no good there, and the cookie of a port is none of the page's.
    let api = format!("Host: {host}\r\n{}", own.split_once("\r\n").unwrap().1);
    let seen = ask(&server, "GET", "/api/v0beta1/me", &api, b"");
    assert!(
        seen.text().starts_with("GET /api/v0beta1/me"),
        "it is the inside's path"
    );
    let page = format!("Host: {}\r\nCookie: {cookie}\r\n", server.address());
    assert_eq!(
        ask(&server, "GET", "/api/v0beta1/me", &page, b"").status,
        401
    );
    let ada = server.member("ada");
    let wanted = json!({ "sandbox": id, "port": 3000 });
    assert_eq!(
        server.ask(&ada, "POST", "/tickets", Some(&wanted)).status,
        404
    );

    // Another protocol, both ways, and a stream as it comes.
    let request = format!("GET /up HTTP/1.1\r\n{own}Connection: Upgrade\r\nUpgrade: loud\r\n\r\n");
    let (answered, mut loud) = begin(&server, &request, b"");
    assert!(
        answered.starts_with("HTTP/1.1 101") && answered.contains("upgrade: loud"),
        "{answered}"
    );
    for word in [&b"one"[..], b"two"] {
        loud.get_mut().write_all(word).unwrap();
        let mut echoed = [0; 3];
        loud.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, word.to_ascii_uppercase()[..]);
    }
    let request = format!("GET /events HTTP/1.1\r\n{own}\r\n");
    let (_, mut events) = begin(&server, &request, b"");
    let begun = Instant::now();
    let mut told = String::new();
    while !told.contains("data: 1") {
        assert!(events.read_line(&mut told).unwrap() > 0);
    }
    assert!(
        begun.elapsed() < Duration::from_millis(900),
        "at once: {:?}",
        begun.elapsed()
    );
    while !told.contains("data: 3") {
        assert!(events.read_line(&mut told).unwrap() > 0);
    }

    // A cookie is of one server's life, and a sandbox that does not run says how it is started.
    server
        .post(&format!("/sandboxes/{id}/stop"), &json!({}))
        .expect(202);
    server.until(&id, "stopped");
    std::thread::sleep(Duration::from_millis(2100));
    let stopped = ask(&server, "GET", "/", &own, b"");
    assert_eq!(stopped.status, 503);
    assert!(
        stopped.text().contains(&format!("/sandboxes/{id}/start")),
        "{}",
        stopped.text()
    );
    server.signal(rustix::process::Signal::TERM);
    server.again();
    let own = own.replace(&host, &format!("3000-{id}.localhost"));
    assert_eq!(ask(&server, "GET", "/", &own, b"").status, 401);
    server.remove(&id);
}

#[test]
fn a_port_has_a_listening_port_of_its_own_where_no_name_leads_to_it() {
    let stage = Stage::new();
    let mut server = Server::start(&stage, &[]);
    let (first, second) = (serving(&server), serving(&server));
    let ticket = |key: &str, id: &str| {
        let wanted = json!({ "sandbox": id, "port": 3000, "own_port": true });
        let ticket = server
            .ask(key, "POST", "/tickets", Some(&wanted))
            .expect(200);
        let url = ticket["url"].as_str().unwrap();
        let (origin, ticket) = url.split_once("/.amika/open#").unwrap();
        let address = origin.strip_prefix("http://").unwrap().to_owned();
        (address, ticket.to_owned())
    };
    let opened = |id: &str| {
        let (address, ticket) = ticket(&server.admin, id);
        assert_ne!(address, server.address());
        let headers = format!("Host: {address}\r\nOrigin: http://{address}\r\n");
        let given = ask_at(
            &address,
            "POST",
            "/.amika/open",
            &headers,
            ticket.as_bytes(),
        );
        assert_eq!(given.status, 204, "{}", given.text());
        let mut lines = given.head.lines();
        let cookie = lines.find_map(|line| line.strip_prefix("set-cookie: "));
        (
            address,
            cookie.unwrap().split(';').next().unwrap().to_owned(),
        )
    };
    let (a, cookie_a) = opened(&first);
    let (b, cookie_b) = opened(&second);
    assert_ne!(a, b);
    assert_eq!(ticket(&server.admin, &first).0, a, "it has one");
    // A browser sends the cookies of all ports of the host to each: none takes another's place, and none goes in.
    let name = |cookie: &str| cookie.split('=').next().unwrap().to_owned();
    assert_ne!(name(&cookie_a), name(&cookie_b));
    let both = format!("Cookie: {cookie_a}; mine=1; {cookie_b}; amika_session=secret\r\n");
    for address in [&a, &b] {
        let seen = ask_at(
            address,
            "GET",
            "/x",
            &format!("Host: {address}\r\n{both}"),
            b"",
        );
        assert_eq!(seen.status, 200, "{}", seen.text());
        let seen = seen.text();
        assert!(seen.starts_with("GET /x HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains("cookie: mine=1\r\n"), "{seen}");
    }
    let status = |headers: &str| ask_at(&a, "GET", "/", headers, b"").status;
    let own = format!("Host: {a}\r\n");
    assert_eq!(status(&own), 401);
    assert_eq!(
        status(&format!("{own}Cookie: {cookie_b}\r\n")),
        401,
        "another port's"
    );
    assert_eq!(status(&format!("{own}{both}Origin: http://{b}\r\n")), 403);
    assert_eq!(
        status(&format!("{own}{both}Sec-Fetch-Site: same-site\r\n")),
        403
    );
    assert_eq!(status(&format!("Host: evil.example\r\n{both}")), 421);
    // It is no door to the API.
    let key = format!("{own}Authorization: Bearer {}\r\n", server.admin);
    assert_eq!(ask_at(&a, "GET", "/api/v0beta1/me", &key, b"").status, 401);
    let ada = server.member("ada");
    let wanted = json!({ "sandbox": first, "port": 3000, "own_port": true });
    assert_eq!(
        server.ask(&ada, "POST", "/tickets", Some(&wanted)).status,
        404
    );

    // It goes with its sandbox.
    server.remove(&first);
    ticket(&server.admin, &second);
    eventually("nobody listens there", || TcpStream::connect(&a).is_err());
    server.remove(&second);
    server.signal(rustix::process::Signal::TERM);
    assert!(TcpStream::connect(&b).is_err());
}

#[test]
fn a_program_reaches_a_port_below_a_path_with_its_key() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let id = serving(&server);
    let at = |rest: &str| format!("/api/v0beta1/sandboxes/{id}/ports/3000{rest}");
    let keyed = format!(
        "Host: {}\r\nAuthorization: Bearer {}\r\n",
        server.address(),
        server.admin
    );
    let answer = ask(
        &server,
        "PUT",
        &at("/x/../y?z=1"),
        &format!("{keyed}Cookie: mine=1\r\n"),
        &vec![7; 3 << 20],
    );
    let seen = answer.text();
    assert!(
        seen.starts_with("PUT /x/../y?z=1 HTTP/1.1\r\n") && seen.ends_with("<3145728>"),
        "{seen}"
    );
    assert!(
        seen.contains("host: localhost:3000\r\n") && seen.contains(&at("")),
        "{seen}"
    );
    assert!(!seen.contains("amk_"), "{seen}");
    assert!(
        answer.head.contains("content-security-policy: sandbox\r\n"),
        "{}",
        answer.head
    );
    assert!(!answer.head.contains("set-cookie"), "{}", answer.head);
    for rest in ["", "/"] {
        assert!(
            ask(&server, "GET", &at(rest), &keyed, b"")
                .text()
                .starts_with("GET / "),
            "{rest}"
        );
    }

    // What one side sent in pieces arrives as pieces, and no second request hides in the first.
    let smuggled = "5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (bad, headers) in [
        (true, "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
        (true, "Transfer-Encoding: chunked, identity\r\n"),
        (true, "Content-Length: 4\r\nContent-Length: 5\r\n"),
        (false, "Transfer-Encoding: chunked\r\n"),
    ] {
        let request = format!(
            "POST {} HTTP/1.1\r\n{keyed}{headers}Connection: close\r\n\r\n",
            at("/in")
        );
        let (head, mut answer) = begin(&server, &request, smuggled.as_bytes());
        let mut body = String::new();
        answer.read_to_string(&mut body).unwrap();
        assert!(!body.contains("smuggled"), "{headers}: {body}");
        if bad {
            // Either it is refused, or it is one request with one meaning.
            let is_one = body.contains("transfer-encoding: chunked")
                && body.contains("<5>")
                && !body.contains("content-length");
            assert!(
                head.starts_with("HTTP/1.1 400") || is_one,
                "{headers}: {head}{body}"
            );
        } else {
            assert!(body.contains("<5>"), "{body}");
        }
    }

    let nobody = ask(&server, "GET", &at("").replace("3000", "3999"), &keyed, b"");
    let told: Value = serde_json::from_str(&nobody.text()).unwrap();
    assert_eq!((nobody.status, &told["code"]), (502, &json!("upstream")));
    assert!(told["hints"].to_string().contains("3000"), "{told}");
    assert_eq!(
        ask(
            &server,
            "GET",
            &at("").replace("3000", "60999"),
            &keyed,
            b""
        )
        .status,
        400
    );
    let member = keyed.replace(&server.admin, &server.member("ada"));
    assert_eq!(ask(&server, "GET", &at("/"), &member, b"").status, 404);
    let nobody = format!("Host: {}\r\n", server.address());
    assert_eq!(ask(&server, "GET", &at("/"), &nobody, b"").status, 401);

    // Half of what a tunnel carries by itself, and a millisecond more at most, would be noise on a busy machine: it is fast.
    let begun = Instant::now();
    let big = ask(&server, "GET", &at("/big/64"), &keyed, b"");
    assert_eq!(big.body.len(), 64 << 20);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    // A client that takes nothing is waited for, and holds up nobody.
    let request = format!("GET {} HTTP/1.1\r\n{keyed}\r\n", at("/big/512"));
    let (_, slow) = begin(&server, &request, b"");
    let quick = ask(&server, "GET", &at("/"), &keyed, b"");
    assert_eq!(quick.status, 200);
    drop(slow);
    server.remove(&id);
}

#[test]
fn a_page_opens_a_socket_with_a_ticket_that_is_good_once() {
    let stage = Stage::new();
    let server = Server::start(&stage, &[]);
    let made = server.create(DEBIAN, json!({}));
    let id = made["id"].as_str().unwrap();
    let path = format!("/sandboxes/{id}/exec");
    let ticket = server
        .post("/tickets", &json!({ "path": path }))
        .expect(200);
    let ticket = ticket["ticket"].as_str().unwrap();
    let open = |path: &str, ticket: &str| {
        let request = format!(
            "GET /api/v0beta1{path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: amika, {ticket}\r\n\r\n",
            server.address()
        );
        begin(&server, &request, b"").0
    };
    let head = open(&path, ticket);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("sec-websocket-protocol: amika\r\n"), "{head}");
    assert!(open(&path, ticket).starts_with("HTTP/1.1 401"), "once");
    let other = server
        .post("/tickets", &json!({ "path": path }))
        .expect(200);
    let other = open(
        &format!("/sandboxes/{id}/terminal"),
        other["ticket"].as_str().unwrap(),
    );
    assert!(
        other.starts_with("HTTP/1.1 401"),
        "for its path alone: {other}"
    );
    assert_eq!(server.post("/tickets", &json!({ "path": "x" })).status, 400);
    assert_eq!(
        server
            .post("/tickets", &json!({ "path": path, "port": 1 }))
            .status,
        400
    );
    server.remove(id);
}
