#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kaso-nbd with Kaso's own client and, when installed, with QEMU's, both ways; with and without TLS.

usage: nbd.py KASO_IMG KASO_IO KASO_NBD
"""
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow


def run(*command, status=0):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=allow(300))
    if done.returncode != status:
        sys.exit('%s: status %d\n%s' % (' '.join(command), done.returncode, done.stdout))
    return done.stdout


class Server:
    def __init__(self, command, socket):
        self.process = subprocess.Popen(command)
        for _ in range(6000):
            if os.path.exists(socket):
                return
            time.sleep(0.01)
        sys.exit('server does not come up: ' + ' '.join(command))

    def stop(self):
        self.process.terminate()
        if self.process.wait(timeout=allow(120)) not in (0, -15):
            sys.exit('server ended with status %d' % self.process.returncode)


def exercise(folder, img, io, server, tls=None):
    """Copies an image in and out through the server and writes into it."""
    socket_path = os.path.join(folder, 'sock')
    image = os.path.join(folder, 'image.qcow2')
    if os.path.exists(socket_path):
        os.unlink(socket_path)
    process = Server([*server, '-k', socket_path, '-x', 'disk', '-f', 'qcow2', '-t', '-e', '0',
                      '--discard=unmap', *(tls[0] if tls else []), image], socket_path)
    objects = tls[1] if tls else []
    options = 'driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=%s,file.export=disk%s' % (
        socket_path, ',file.tls-creds=t,file.tls-hostname=localhost' if tls else '')
    out = os.path.join(folder, 'out.raw')
    run(*img, 'convert', *objects, '--image-opts', '-O', 'raw', options, out)
    with open(out, 'rb') as a, open(os.path.join(folder, 'in.raw'), 'rb') as b:
        if a.read() != b.read():
            sys.exit('content differs through %s and %s' % (server[0], img[0]))
    run(*io, *objects, '--image-opts', '-d', 'unmap', '-c', 'write -P 7 1000 70000', '-c',
        'read -P 7 1000 70000', '-c', 'write -z 4M 1M', '-c', 'discard 6M 64k', '-c', 'flush', '-c',
        'read -P 0 4M 1M', '-c', 'aio_write -P 1 0 256k', '-c', 'aio_write -P 2 1M 256k', '-c',
        'aio_flush', '-c', 'read -P 2 1M 256k', '-c', 'read -P 1 0 256k', options)
    maps = run(*img, 'map', *objects, '--image-opts', '--output=json', options)
    if '"zero": true' not in maps:
        sys.exit('no zeroes in the map: ' + maps)
    process.stop()
    run(*img, 'check', image)


def serve_refusals(folder, img, nbd):
    """What kaso-nbd refuses at once; a client that says nothing keeps nobody out for long."""
    image, path = os.path.join(folder, 'small.qcow2'), os.path.join(folder, 'small.sock')
    run(img, 'create', '-q', '-f', 'qcow2', image, '1M')
    for options in (['-n', '--cache=none'], ['-f', 'raw', '--image-opts'], ['--cache=bogus'],
                    ['-c', '/dev/nbd0'], ['--tls-authz=x'], ['--bogus']):
        run(nbd, '-k', path, *options, image, status=1)
    assert 'Usage' in run(nbd, '--help')
    assert re.match(r'qemu-nbd \d+\.\d+\.\d+ \(Kaso \d', run(nbd, '-V'))
    server = Server([nbd, '-k', path, '-t', '-e', '1', '--handshake-limit', '1',
                     '--cache=writethrough', '-f', 'qcow2', image], path)
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(path)
    start = time.monotonic()
    assert 'exports available: 1' in run(nbd, '-L', '-k', path)
    assert 0.5 < time.monotonic() - start < allow(8)
    server.stop()


def make_certificates(folder):
    """A CA and a server certificate for localhost, by certtool or openssl; None without them."""
    if not shutil.which('openssl'):
        return None
    path = os.path.join(folder, 'tls')
    os.mkdir(path)

    def name(file):
        return os.path.join(path, file)
    quiet = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL, 'check': True}
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=CA',
                    '-keyout', name('ca-key.pem'), '-out', name('ca-cert.pem'), '-days', '2'],
                   **quiet)
    for side in ('server', 'client'):
        subprocess.run(['openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost',
                        '-keyout', name(side + '-key.pem'), '-out', name('req.pem')], **quiet)
        with open(name('ext'), 'w') as file:
            file.write('subjectAltName=DNS:localhost\n')
        subprocess.run(['openssl', 'x509', '-req', '-in', name('req.pem'), '-CA',
                        name('ca-cert.pem'), '-CAkey', name('ca-key.pem'), '-CAcreateserial',
                        '-out', name(side + '-cert.pem'), '-days', '2', '-extfile', name('ext')],
                       **quiet)
    return path


def main():
    kaso_img, kaso_io, kaso_nbd = sys.argv[1:4]
    tools = [([kaso_img], [kaso_io], [kaso_nbd])]
    names = [os.environ.get(variable) or shutil.which(program) for variable, program in
             (('QEMU_IMG', 'qemu-img'), ('QEMU_IO', 'qemu-io'), ('QEMU_NBD', 'qemu-nbd'))]
    if all(names):
        tools.append(tuple(name.split() for name in names))
    rand = random.Random(3)
    with tempfile.TemporaryDirectory(prefix='kaso-nbd-') as folder:
        data = bytearray(8 << 20)
        for _ in range(10):
            offset = rand.randrange(len(data) - 100000)
            data[offset:offset + 100000] = rand.randbytes(100000)
        with open(os.path.join(folder, 'in.raw'), 'wb') as file:
            file.write(data)
        serve_refusals(folder, kaso_img, kaso_nbd)
        certificates = make_certificates(folder)
        cases = [None]
        if certificates:
            endpoint = 'tls-creds-x509,id=t,dir=%s,endpoint=' % certificates
            cases.append((['--object', endpoint + 'server', '--tls-creds', 't'],
                          ['--object', endpoint + 'client']))
        for tls in cases:
            for img, io, _ in tools:
                for _, _, server in tools:
                    if tls and 'qemu' in img[0] + server[0] and len(tools) > 1 and \
                            kaso_img not in img and server[0] != kaso_nbd:
                        continue
                    run(kaso_img, 'convert', '-f', 'raw', '-O', 'qcow2',
                        os.path.join(folder, 'in.raw'), os.path.join(folder, 'image.qcow2'))
                    exercise(folder, img, io, server, tls)
                    print('ok', img[0], server[0], 'tls' if tls else 'plain', flush=True)


main()
