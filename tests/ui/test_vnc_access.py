# SPDX-License-Identifier: MIT
"""Who may look over VNC: lists of people for certificates (authz-*), and SASL."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import rfb
from patience import allow
import sasl
from rfb import Client
from screen import Screen
from test_vnc import make_certificates, paint_test_picture, refused


def fails(arguments, *words, env=None):
    """It does not start, and says why."""
    command = [sys.argv[1], "-M", "none", "-nodefaults", "-S", "-display", "none", "-serial", "vc", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env, text=True, timeout=allow(30))
    assert done.returncode == 1 and all(word in done.stderr for word in words), (done.returncode, done.stderr)


def test_authz():
    """Certificates that are good, of people who may not come in."""
    if not shutil.which("openssl"):
        print("no openssl: TLS is not looked at")
        return
    with tempfile.TemporaryDirectory() as path:
        make_certificates(path)
        rules = os.path.join(path, "rules.json")
        credentials = ("-object", "tls-creds-x509,id=t,endpoint=server,verify-peer=on,dir=" + path)
        vnc = ("-vnc", "unix:@/vnc,tls-creds=t,tls-authz=a")

        def certified(peer):
            context = ssl.create_default_context(cafile=os.path.join(path, "ca-cert.pem"))
            context.check_hostname = False
            context.load_cert_chain(os.path.join(path, "client-cert.pem"), os.path.join(path, "client-key.pem"))
            return context.wrap_socket(peer)

        def comes_in(screen):
            try:
                client = Client(screen.vnc(), (rfb.RAW,), tls=certified)
            except (ssl.SSLError, EOFError, ConnectionError):
                return False
            client.update(False)
            return True

        def write(text):
            with open(rules + ".new", "w", encoding="ascii") as file:
                file.write(text)
            os.replace(rules + ".new", rules)

        write('{"policy": "deny", "rules": [{"match": "CN=local*", "policy": "allow", "format": "glob"}]}')
        for words, allowed in (("authz-simple,id=a,identity=CN=localhost", True), ("authz-simple,id=a,identity=CN=LOCALHOST", False),
                               ("authz-list,id=a", False), ("authz-list,id=a,policy=allow", True),
                               ("authz-list,id=a,rules.0.match=CN=localhost,rules.0.policy=allow", True),
                               ("authz-list,id=a,policy=allow,rules.0.match=*,rules.0.policy=deny", True),
                               ("authz-list,id=a,policy=allow,rules.0.match=*,rules.0.policy=deny,rules.0.format=glob", False),
                               ("authz-list-file,id=a,filename=" + rules, True)):
            with Screen(*credentials, "-object", words, *vnc) as screen:
                screen.mode(64, 64)
                assert comes_in(screen) == allowed, words
                if "file" in words:
                    client = Client(screen.vnc(), (rfb.RAW,), tls=certified)
                    client.update(False)
                    assert screen.qmp.command("query-vnc")["clients"][-1]["x509_dname"] == "CN=localhost"
                    write('{"rules": [{"match": "CN=localhost", "policy": "deny"}], "policy": "allow"}')
                    assert not comes_in(screen)
                    write("{]")
                    assert not comes_in(screen)
                    write('{"policy": "allow"}')
                    assert comes_in(screen)
                    screen.qmp.command("object-del", id="a")
                    assert not comes_in(screen), "without the object nobody may"
                screen.end()
        fails((*credentials, "-vnc", "unix:/x,tls-creds=t,tls-authz=a"), "No authorization", "'a'")
        fails(("-vnc", "unix:/x,tls-authz=a"), "tls-creds")
        fails(("-object", "authz-list,id=a", "-object", "tls-creds-anon,id=t,endpoint=server", "-vnc", "unix:/x,tls-creds=t,tls-authz=a"),
              "tls-authz=a", "verify-peer")
        for words, error in (("authz-simple,id=a", "identity="), ("authz-list,id=a,rules.0.match=x", "policy="),
                             ("authz-list,id=a,rules.1.match=x,rules.1.policy=deny", "rules.1."),
                             ("authz-list-file,id=a,filename=/nowhere", "/nowhere"), ("authz-list,id=a,policy=maybe", "maybe")):
            fails(("-object", words), error)


def test_sasl():
    if sasl.missing():
        print("no %s: SASL is not looked at" % sasl.missing())
        return
    right, wrong = ("alice", "wonderland"), ("alice", "nowhere")
    with tempfile.TemporaryDirectory() as path:
        sasl.make_accounts(path, "digest-md5 scram-sha-256 plain", alice="wonderland", bob="builder")
        env = {**os.environ, "SASL_CONF_PATH": path}
        with Screen("-vnc", "unix:@/vnc,sasl=on", env=env) as screen:
            paint_test_picture(screen)
            for _ in range(2):
                client = Client(screen.vnc(), (rfb.ZRLE,), sasl=sasl.Conversation(*right))
                assert client.offered == [20] and "SCRAM-SHA-256" in client.mechanisms, client.mechanisms
                client.update(False)
                assert bytes(client.picture) == screen.dump()[2]
            assert screen.qmp.command("query-vnc")["auth"] == "sasl"
            assert screen.qmp.command("query-vnc")["clients"][0]["sasl_username"] == "alice"
            assert refused(lambda: Client(screen.vnc(), sasl=sasl.Conversation(*wrong)))
            assert refused(lambda: Client(screen.vnc(), sasl=sasl.Conversation("nobody", "x")))
            for junk in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\5NONE!", b"\0\0\0\5PLAIN\xff\xff\xff\xff", b"\0\0\0\5PLAIN\0\0\0\1x"):
                peer = screen.vnc()
                peer.recv(12)
                peer.sendall(b"RFB 003.008\n")
                assert peer.recv(2) == b"\1\x14"
                peer.sendall(b"\x14" + junk)
                while peer.recv(4096):
                    pass
            client.update(False)
            screen.end()
        # Nothing else keeps this connection secret: only what encrypts is offered.
        with Screen("-object", "authz-list,id=a,rules.0.match=alice,rules.0.policy=allow", "-vnc", "127.0.0.1:0,to=99,sasl=on,sasl-authz=a",
                    env=env) as screen:
            paint_test_picture(screen)
            port = int(screen.qmp.command("query-vnc")["service"])

            def connect(*who):
                return Client(socket.create_connection(("127.0.0.1", port)), (rfb.RAW,), sasl=sasl.Conversation(*who, encrypt=True))
            client = connect(*right)
            assert client.mechanisms == "DIGEST-MD5"
            client.update(False)
            assert bytes(client.picture) == screen.dump()[2]
            assert refused(lambda: connect("bob", "builder"))
            client.update(False)
            screen.end()
        fails(("-vnc", "unix:/x,sasl=on,password=on"), "sasl=on", env=env)
        fails(("-vnc", "unix:/x,sasl-authz=a"), "sasl=on", env=env)
        fails(("-vnc", "unix:/x,sasl=on,sasl-authz=a"), "No authorization", env=env)


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_") and (len(sys.argv) < 3 or name in sys.argv[2:]):
            started = time.monotonic()
            test()
            print("%s: %.1f s" % (name, time.monotonic() - started), flush=True)
