#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kaso-nbd with libnbd's tools, its options, lost connections, and peers that talk nonsense.

usage: nbd-clients.py KASO_IMG KASO_IO KASO_NBD
"""
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

SIZE = 4 << 20


def run(*command, status=0, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                          timeout=allow(60), **more)
    if done.returncode != status:
        sys.exit('%s: status %d\n%s' % (' '.join(command), done.returncode, done.stdout))
    return done.stdout


def expect(text, output):
    if text not in output:
        sys.exit(f'"{text}" is missing in: {output}')


class Fixture:
    def __init__(self, folder, img, io, nbd):
        self.folder, self.img, self.io, self.nbd = folder, img, io, nbd
        self.socket = os.path.join(folder, 'sock')
        self.raw = os.path.join(folder, 'in.raw')
        self.image = os.path.join(folder, 'image.qcow2')
        data = bytearray(SIZE)
        data[1 << 20:(1 << 20) + 300000] = random.Random(3).randbytes(300000)
        self.data = bytes(data)
        with open(self.raw, 'wb') as file:
            file.write(self.data)
        run(img, 'convert', '-f', 'raw', '-O', 'qcow2', self.raw, self.image)
        self.uri = f'nbd+unix:///disk?socket={self.socket}'

    def serve(self, *options, image=None):
        """Starts a server in the background; returns its process id."""
        pid_file = os.path.join(self.folder, 'pid')
        run(self.nbd, '--fork', '--pid-file', pid_file, '-k', self.socket, '-x', 'disk', '-t', '-e',
            '0', *options, image or self.image)
        with open(pid_file, encoding='ascii') as file:
            return int(file.read())

    def stop(self, pid):
        os.kill(pid, 15)
        for _ in range(6000):
            try:
                with open(f'/proc/{pid}/stat', encoding='ascii') as file:
                    ended = file.read().split()[2] == 'Z'
            except FileNotFoundError:
                ended = True
            if ended and not os.path.exists(self.socket):
                return
            time.sleep(0.01)
        sys.exit('the server does not end')

    def copy_is(self, data):
        out = os.path.join(self.folder, 'out.raw')
        run(self.img, 'convert', '-f', 'raw', '-O', 'raw', self.uri, out)
        with open(out, 'rb') as file:
            if file.read() != data:
                sys.exit('content differs')


def test_libnbd(f):
    if not shutil.which('nbdinfo') or not shutil.which('nbdcopy'):
        return
    pid = f.serve('-A', '-D', 'a disk')
    info = run('nbdinfo', f.uri)
    for text in ('structured packets', 'export-size: 4194304', 'base:allocation', 'a disk',
                 'qemu:allocation-depth', 'can_multi_conn: true', 'can_fast_zero: true'):
        expect(text, info)
    extents = run('nbdinfo', '--map', f.uri).split('\n')
    expect('hole,zero', extents[0])
    expect('data', extents[1])
    out = os.path.join(f.folder, 'copy.raw')
    run('nbdcopy', f.uri, out)
    with open(out, 'rb') as file:
        if file.read() != f.data:
            sys.exit('nbdcopy: content differs')
    run('nbdcopy', '--connections=4', '--requests=16', f.raw, f.uri)
    f.stop(pid)
    expect('4194304', run('nbdinfo', '--size', '--', '[', f.nbd, '-r', '-f', 'qcow2', f.image, ']'))
    run(f.img, 'compare', '-f', 'raw', '-F', 'qcow2', f.raw, f.image)
    run(f.img, 'check', f.image)


def test_options(f):
    pid = f.serve('-r', '-f', 'raw', '-o', '1M', image=f.raw)
    f.copy_is(f.data[1 << 20:])
    expect('read-only', run(f.io, '-f', 'raw', '-c', 'write 0 512', f.uri, status=1))
    expect("export: 'disk'", run(f.nbd, '-L', '-k', f.socket))
    expect('no such export', run(f.img, 'info', f.uri.replace('disk', 'other', 1), status=1))
    f.stop(pid)
    pid = f.serve('-s', '-f', 'qcow2')
    run(f.io, '-f', 'raw', '-c', 'write -P 9 0 64k', '-c', 'read -P 9 0 64k', f.uri)
    f.stop(pid)
    run(f.img, 'compare', '-f', 'raw', '-F', 'qcow2', f.raw, f.image)
    port = socket.socket()
    port.bind(('127.0.0.1', 0))
    number = port.getsockname()[1]
    port.close()
    server = subprocess.Popen([f.nbd, '-b', '127.0.0.1', '-p', str(number), '-x', 'tcp', '-f', 'qcow2',
                               f.image])
    legacy = f'nbd:127.0.0.1:{number}:exportname=tcp'
    expect('4 MiB', run(f.img, 'info', '--image-opts', 'driver=raw,file.driver=nbd,file.host=127.0.0.1,'
                        f'file.port={number},file.export=tcp,file.open-timeout=20'))
    if server.wait(timeout=allow(20)):
        sys.exit('the server without -t did not end well')
    expect('refused', run(f.img, 'info', legacy, status=1))


def test_bitmap(f):
    image = os.path.join(f.folder, 'bitmap.qcow2')
    run(f.img, 'create', '-f', 'qcow2', image, '4M')
    run(f.img, 'bitmap', '--add', image, 'b0')
    run(f.io, '-f', 'qcow2', '-c', 'write 1M 100k', image)
    pid = f.serve('-r', '-f', 'qcow2', '-B', 'b0', image=image)
    expect('qemu:dirty-bitmap:b0', run(f.nbd, '-L', '-k', f.socket))
    options = (f'driver=raw,file.driver=nbd,file.path={f.socket},file.export=disk,'
               'file.x-dirty-bitmap=qemu:dirty-bitmap:b0')
    for img in [f.img] + ([shutil.which('qemu-img')] if shutil.which('qemu-img') else []):
        dirty = [(extent['start'], extent['length']) for extent in
                 json.loads(run(img, 'map', '--output=json', '--image-opts', options))
                 if not extent['data']]
        if dirty != [(1 << 20, 128 << 10)]:
            sys.exit(f'{img}: dirty parts are {dirty}')
    f.stop(pid)
    expect('not found', run(f.nbd, '-k', f.socket, '-f', 'qcow2', '-B', 'none', image, status=1))


def test_psk(f):
    key = os.path.join(f.folder, 'keys.psk')
    with open(key, 'w', encoding='ascii') as file:
        file.write('qemu:00112233445566778899aabbccddeeff\n')
    creds = f'tls-creds-psk,id=t,dir={f.folder},endpoint='
    pid = f.serve('--object', creds + 'server', '--tls-creds', 't', '-f', 'qcow2')
    out = run(f.io, '--object', creds + 'client', '--image-opts', '-c', 'read 1M 300000',
              f'driver=raw,file.driver=nbd,file.path={f.socket},file.export=disk,file.tls-creds=t')
    expect('read 300000', out)
    expect('TLS', run(f.img, 'info', f.uri, status=1))
    f.stop(pid)
    # The key's user has to be one who may come in, too.
    read = ('--object', creds + 'client', '--image-opts', '-c', 'read 1M 512',
            f'driver=raw,file.driver=nbd,file.path={f.socket},file.export=disk,file.tls-creds=t')
    for user, status in (('qemu', 0), ('other', 1)):
        pid = f.serve('--object', creds + 'server', '--object', f'authz-simple,id=a,identity={user}', '--tls-creds', 't',
                      '--tls-authz', 'a', '-f', 'qcow2')
        run(f.io, *read, status=status)
        f.stop(pid)


NBDSH = '''
assert h.get_size() == SIZE and not h.is_read_only()
assert h.can_fua() and h.can_trim() and h.can_zero() and h.can_multi_conn()
assert h.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
assert bytes(h.pread(300000, 1 << 20)) == open(RAW, 'rb').read()[1 << 20:(1 << 20) + 300000]
extents = []
def extent(context, offset, entries, error):
    if context == nbd.CONTEXT_BASE_ALLOCATION:
        extents.extend(entries)
h.block_status(SIZE, 0, extent)
assert extents[:2] == [1 << 20, 3], extents
h.pwrite(b"K" * 4096, 3 << 20, nbd.CMD_FLAG_FUA)
assert bytes(h.pread(4096, 3 << 20)) == b"K" * 4096
h.zero(4096, 3 << 20)
h.trim(4096, 3 << 20)
h.flush()
cookies = [h.aio_pread(nbd.Buffer(65536), i * 65536) for i in range(16)]
while h.aio_in_flight():
    h.poll(-1)
for cookie in cookies:
    assert h.aio_command_completed(cookie)
try:
    h.pread(512, SIZE)
    raise AssertionError("a read behind the end")
except nbd.Error:
    pass
print("nbdsh is content")
'''


def nbdsh(f, uri):
    script = (f'SIZE = {SIZE}; RAW = "{f.raw}"; import nbd\n'
              'h.set_uri_allow_local_file(True); h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)\n'
              f'h.connect_uri("{uri}")\n' + NBDSH)
    # The system's Python has libnbd's module.
    out = run('nbdsh', '-c', script,
              env=dict(os.environ, PATH='/usr/bin:' + os.environ['PATH']))
    expect('nbdsh is content', out)


def test_nbdsh(f):
    """libnbd's shell, plain and with TLS, and the tools with TLS in both roles."""
    if not shutil.which('nbdsh') or not shutil.which('nbdcopy'):
        return
    pid = f.serve('-f', 'qcow2')
    nbdsh(f, f.uri)
    f.stop(pid)
    key = os.path.join(f.folder, 'keys.psk')
    with open(key, 'w', encoding='ascii') as file:
        file.write('qemu:00112233445566778899aabbccddeeff\n')
    pid = f.serve('--object', f'tls-creds-psk,id=t,dir={f.folder},endpoint=server', '--tls-creds', 't',
                  '-f', 'qcow2')
    uri = f'nbds+unix://qemu@/disk?socket={f.socket}&tls-psk-file={key}'
    nbdsh(f, uri)
    expect('protocol: newstyle-fixed with TLS', run('nbdinfo', uri))
    out = os.path.join(f.folder, 'tls.raw')
    run('nbdcopy', uri, out)
    run('nbdcopy', '--connections=2', f.raw, uri)
    f.stop(pid)
    with open(out, 'rb') as file:
        if file.read() != f.data:
            sys.exit('nbdcopy with TLS: content differs')
    run(f.img, 'compare', '-f', 'raw', '-F', 'qcow2', f.raw, f.image)


def test_qemu_nbd(f):
    """Another implementation's server, listed and copied from and to, and its client on ours."""
    qemu = (os.environ.get('QEMU_NBD') or shutil.which('qemu-nbd') or '').split()
    if not qemu:
        return
    with open(os.path.join(f.folder, 'keys.psk'), 'w', encoding='ascii') as file:
        file.write('qemu:00112233445566778899aabbccddeeff\n')
    creds = f'tls-creds-psk,id=t,dir={f.folder},endpoint='
    for tls in (False, True):
        server = ['--object', creds + 'server', '--tls-creds', 't'] if tls else []
        client = ['--object', creds + 'client', '--tls-creds', 't'] if tls else []
        options = f'driver=raw,file.driver=nbd,file.path={f.socket},file.export=disk' + (
            ',file.tls-creds=t' if tls else '')
        pid = f.serve('-f', 'qcow2', *server)
        expect("export: 'disk'", run(*qemu, '-L', '-k', f.socket, *client))
        f.stop(pid)
        theirs = subprocess.Popen([*qemu, '-k', f.socket, '-x', 'disk', '-t', '-e', '4', '-f', 'qcow2',
                                   *server, f.image])
        for _ in range(6000):
            if os.path.exists(f.socket):
                break
            time.sleep(0.01)
        expect("export: 'disk'", run(f.nbd, '-L', '-k', f.socket, *client))
        out = os.path.join(f.folder, 'out.raw')
        objects = client[:2]
        run(f.img, 'convert', *objects, '--image-opts', '-O', 'raw', options, out)
        with open(out, 'rb') as file:
            if file.read() != f.data:
                sys.exit('content differs')
        run(f.img, 'convert', *objects, '-n', '--target-image-opts', '-f', 'raw', f.raw, options)
        theirs.terminate()
        theirs.wait(timeout=allow(20))
        if os.path.exists(f.socket):
            os.unlink(f.socket)
    run(f.img, 'compare', '-f', 'raw', '-F', 'qcow2', f.raw, f.image)


def test_reconnect(f):
    pid = f.serve('-f', 'qcow2')
    options = (f'driver=raw,file.driver=nbd,file.path={f.socket},file.export=disk,'
               'file.reconnect-delay=30')
    client = subprocess.Popen([f.io, '--image-opts', options], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)

    def command(line):
        client.stdin.write(line + '\n')
        client.stdin.flush()
        return client.stdout.readline()

    expect('wrote', command('write -P 5 64k 64k'))
    client.stdout.readline()
    os.kill(pid, 9)
    time.sleep(0.2)
    timer = threading.Timer(1, lambda: f.serve('-f', 'qcow2'))
    timer.start()
    expect('read', command('read 1M 64k'))
    client.stdout.readline()
    timer.join()
    client.stdin.close()
    if client.wait(timeout=allow(30)):
        sys.exit('the client did not survive the loss of its server')
    with open(os.path.join(f.folder, 'pid'), encoding='ascii') as file:
        f.stop(int(file.read()))


def talk(path, chunks):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(allow(60))
    peer.connect(path)
    try:
        for chunk in chunks:
            peer.sendall(chunk)
        while peer.recv(65536):
            pass
    except OSError:
        pass
    peer.close()


def test_bad_clients(f):
    """The server outlives clients that break the protocol, and serves the next one."""
    rand = random.Random(9)
    pid = f.serve('-f', 'qcow2')
    magic = 0x49484156454f5054
    option = lambda number, data: struct.pack('>QII', magic, number, len(data)) + data
    go = option(7, struct.pack('>I', 4) + b'disk' + struct.pack('>H', 0))
    flags = struct.pack('>I', 3)
    request = lambda kind, offset, length, flag=0: struct.pack('>IHHQQI', 0x25609513, flag, kind, 1,
                                                               offset, length)
    leave = request(2, 0, 0)
    talk(f.socket, [rand.randbytes(5000)])
    talk(f.socket, [flags, struct.pack('>QII', magic, 7, 0xffffffff)])
    talk(f.socket, [flags, option(7, struct.pack('>I', 0xffffffff)), option(2, b'')])
    talk(f.socket, [flags, option(10, struct.pack('>I', 4) + b'disk' + struct.pack('>I', 0xffffffff)),
                    option(2, b'')])
    talk(f.socket, [flags, go, request(1, 0, 0xffffffff)])
    talk(f.socket, [flags, go, request(0, 1 << 63, 512), request(1, SIZE - 1, 512, 0) + bytes(512),
                    request(7, 0, 512), request(0, 0, 0xffffffff), request(99, 0, 1), leave])
    talk(f.socket, [flags, go, rand.randbytes(1000)])
    for _ in range(50):
        talk(f.socket, [flags, option(rand.randrange(13), rand.randbytes(rand.randrange(40))),
                        option(2, b'')])
    expect('4 MiB', run(f.img, 'info', '-f', 'raw', f.uri))
    f.stop(pid)
    run(f.img, 'check', f.image)


def test_bad_servers(f):
    """The client ends with a message whatever a server says."""
    rand = random.Random(10)
    listener = socket.socket(socket.AF_UNIX)
    path = os.path.join(f.folder, 'bad')
    listener.bind(path)
    listener.listen(8)
    hello = struct.pack('>QQH', 0x4e42444d41474943, 0x49484156454f5054, 3)
    reply = lambda number, kind, data=b'': struct.pack('>QIII', 0x3e889045565a9, number, kind,
                                                       len(data)) + data
    unknown = reply(11, 0x80000001) + reply(8, 0x80000001)
    export = reply(7, 3, struct.pack('>HQH', 0, 1 << 20, 1))
    scripts = [b'', rand.randbytes(100), hello, hello + rand.randbytes(200),
               hello + reply(11, 0x80000001)[:-4] + b'\xff\xff\xff\xff',
               hello + unknown + reply(7, 0x80000006, b'no'),
               hello + unknown + reply(7, 1),
               hello + unknown + reply(7, 3, struct.pack('>HQH', 0, 1 << 63, 1)) + reply(7, 1),
               hello + unknown + reply(7, 3, struct.pack('>HIII', 3, 3, 4096, 1)) + reply(7, 1),
               hello + unknown + export + reply(7, 1) + rand.randbytes(64)]

    def serve():
        for script in scripts:
            peer, _ = listener.accept()
            peer.sendall(script)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(65536):
                pass
            peer.close()

    threading.Thread(target=serve, daemon=True).start()
    for _ in scripts:
        said = run(f.io, '-r', '-f', 'raw', '-c', 'read 0 4k', f'nbd:unix:{path}', status=1)
        if not said.strip():
            sys.exit('no message')


def main():
    with tempfile.TemporaryDirectory(prefix='kaso-nbd-') as folder:
        fixture = Fixture(folder, *sys.argv[1:4])
        for test in (test_libnbd, test_nbdsh, test_qemu_nbd, test_options, test_bitmap, test_psk, test_reconnect, test_bad_clients,
                     test_bad_servers):
            test(fixture)
            print('ok', test.__name__, flush=True)


main()
