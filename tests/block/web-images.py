#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images on a web server: ranges, redirects, errors.

usage: web-images.py KASO_IMG KASO_IO
"""
import http.server
import os
import random
import re
import subprocess
import sys
import tempfile
import threading

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

CONTENT = random.Random(7).randbytes(3 * 1024 * 1024 + 1536)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self, body):
        if self.path == '/moved':
            self.send_response(302)
            self.send_header('Location', '/disk')
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        if self.path == '/evil':
            self.send_response(302)
            self.send_header('Location', 'file:///etc/passwd')
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        if self.path not in ('/disk', '/noranges', '/liar'):
            self.send_error(404)
            return
        data = CONTENT
        asked = re.match(r'bytes=(\d+)-(\d+)$', self.headers.get('Range', ''))
        if asked and self.path == '/disk':
            first, last = int(asked[1]), min(int(asked[2]), len(CONTENT) - 1)
            data = CONTENT[first:last + 1]
            self.send_response(206)
            self.send_header('Content-Range', f'bytes {first}-{last}/{len(CONTENT)}')
        else:
            self.send_response(200)
        if self.path != '/noranges':
            self.send_header('Accept-Ranges', 'bytes')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        if body:
            try:
                self.wfile.write(data)
            except OSError:
                pass

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, address):
        """Clients that hang up are part of the test."""


def run(*command, status=0):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=allow(60))
    if done.returncode != status:
        sys.exit('%s: status %d\n%s' % (' '.join(command), done.returncode, done.stdout))
    return done.stdout


def expect(text, output):
    if text not in output:
        sys.exit(f'"{text}" is missing in: {output}')


def main():
    img, io = sys.argv[1:3]
    server = Server(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = 'http://127.0.0.1:%d' % server.server_address[1]
    with tempfile.TemporaryDirectory(prefix='kaso-http-') as folder:
        out = os.path.join(folder, 'out.raw')
        for name in ('/disk', '/moved'):
            run(img, 'convert', '-f', 'raw', '-O', 'raw', base + name, out)
            with open(out, 'rb') as file:
                if file.read() != CONTENT:
                    sys.exit('content differs from ' + name)
        raw = os.path.join(folder, 'in.raw')
        overlay = os.path.join(folder, 'overlay.qcow2')
        with open(raw, 'wb') as file:
            file.write(CONTENT)
        run(img, 'create', '-f', 'qcow2', '-b', base + '/disk', '-F', 'raw', overlay)
        run(io, '-f', 'qcow2', '-c', 'write -P 1 0 64k', '-c', 'read -P 1 0 64k', overlay)
        run(io, '-f', 'raw', '-c', 'write -P 1 0 64k', raw)
        run(img, 'compare', '-f', 'raw', '-F', 'qcow2', raw, overlay)
    expect('404', run(img, 'info', base + '/missing', status=1))
    expect('range', run(img, 'info', base + '/noranges', status=1))
    run(img, 'info', base + '/evil', status=1)
    run(io, '-r', '-f', 'raw', '-c', 'read 1M 64k', base + '/liar', status=1)
    expect('does not support writes', run(io, '-f', 'raw', '-c', 'read 0 1', base + '/disk', status=1))
    expect('could not', run(img, 'info', 'https://127.0.0.1:1/x', status=1).lower())


main()
