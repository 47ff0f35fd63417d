#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""symbols fetch: debugging information from a server that a test runs: what it has, has not, sends slowly, or damaged.

test-fetch.py KASO COMPILER LINES.C LINES-START.S
"""
import ctypes
import http.server
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from machine import Kaso, target
from patience import allow
from program import BOARDS, Program, Session


class Handler(http.server.BaseHTTPRequestHandler):
    files = {}  # build ID -> bytes; None: it never ends
    asked = []

    def do_GET(self):  # pylint: disable=invalid-name
        match = re.fullmatch(r'/buildid/([0-9a-f]+)/debuginfo', self.path)
        self.asked.append(self.path)
        if not match or match[1] not in self.files:
            self.send_error(404)
            return
        body = self.files[match[1]]
        self.send_response(200)
        self.send_header('Content-Length', str(len(body) if body is not None else 1 << 30))
        self.end_headers()
        try:
            if body is not None:
                self.wfile.write(body)
            while body is None:
                self.wfile.write(bytes(200000))
                time.sleep(0.1)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def build_id(elf):
    return re.search(r'Build ID: ([0-9a-f]+)', subprocess.run(['readelf', '-n', elf], check=True, capture_output=True, text=True).stdout)[1]


def check_unknown(session, stripped):
    session.expect('symbols fetch', 'Error: no kernel is in memory, and there is not one file without lines')
    session.expect('symbols fetch nosuch', "Error: there are no symbols 'nosuch', and it is no build ID or file")
    session.expect('symbols fetch -t 0 ' + 20 * 'ab', 'Error: a time is from 1')
    session.expect('symbols fetch ' + 20 * 'ab', 'Error: no server of DEBUGINFOD_URLS .* has build ID abab')
    # Slow, damaged.
    began = time.monotonic()
    session.expect('symbols fetch -t 3 ' + 20 * 'cd', r'MB\nError: the server has not sent it within 3 s')
    assert time.monotonic() - began < allow(20), time.monotonic() - began
    session.expect('symbols fetch ' + 20 * 'ef', r'Error: .*/debuginfo')
    session.expect(f'symbols add {stripped}', "Error: .*has no symbols .*'symbols fetch FILE'")


def check_found(session, stripped, plain, identity):
    session.expect(f'symbols fetch {stripped}', rf'symbols 1: program, build ID {identity}, is in ')
    session.expect('symbols remove 1', r'\A\Z')
    session.expect(f'symbols add {plain}', r'\A\Z')
    session.expect('info line leaf', 'Error')
    session.expect('symbols fetch', rf'symbols \d+: plain, build ID {identity}, is in ')
    session.expect(f'tbreak lines.c:{session.program.line("leaf second")}', 'at')
    session.moves('cont', 'leaf', 'leaf second')
    session.expect('info args', r'second = 3\n')
    answer = session.kaso.qmp('x-symbols-fetch', which=identity)['return']
    assert answer['build-id'] == identity and os.path.exists(answer['path']), answer
    assert 'error' in session.kaso.qmp('x-symbols-fetch', which='nosuch')
    assert 'error' in session.kaso.qmp('human-monitor-command', **{'command-line': 'symbols fetch ' + identity})['return'].lower()


def main():
    kaso, compiler, *sources = sys.argv[1:]
    try:
        ctypes.CDLL('libdebuginfod.so.1')
    except OSError:
        print('skipped: libdebuginfod1 is not installed')
        sys.exit(77)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    architecture, _, options = BOARDS['pc']
    with tempfile.TemporaryDirectory() as folder:
        for name in sources:
            shutil.copy(name, folder)
        built = Program(compiler, folder, 'pc', options=('-O0', '-g', '-Wl,--build-id=sha1'))
        debug, stripped = os.path.join(folder, 'debug'), os.path.join(folder, 'stripped', 'program')
        os.mkdir(os.path.dirname(stripped))
        subprocess.run(['objcopy', '--only-keep-debug', built.elf, debug], check=True)
        subprocess.run(['strip', '-o', stripped, built.elf], check=True)
        plain = os.path.join(folder, 'plain')
        subprocess.run(['strip', '-g', '-o', plain, built.elf], check=True)
        with open(debug, 'rb') as file:
            Handler.files[build_id(built.elf)] = file.read()
        Handler.files[20 * 'cd'] = None
        Handler.files[20 * 'ef'] = b'damaged'
        os.environ.pop('DEBUGINFOD_URLS', None)
        os.environ['DEBUGINFOD_CACHE_PATH'] = os.path.join(folder, 'cache')
        machine = ['-M', 'pc', *options, '-kernel', stripped]
        with Kaso(target(kaso, architecture), *machine) as run:
            Session(run, built).expect('symbols fetch ' + 20 * 'ab', 'Error: no server is known: start Kaso with DEBUGINFOD_URLS')
        assert not Handler.asked
        os.environ['DEBUGINFOD_URLS'] = f'http://127.0.0.1:{server.server_port}'
        with Kaso(target(kaso, architecture), *machine) as run:
            session = Session(run, built)
            check_unknown(session, stripped)
            check_found(session, stripped, plain, build_id(built.elf))
            # Gone while it waits.
            run.qmp_send('x-symbols-fetch', which=20 * 'cd')
            time.sleep(0.5)
            run.programs.close()
            session.expect('info status', 'VM status')


main()
