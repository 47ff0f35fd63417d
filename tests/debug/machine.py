# SPDX-License-Identifier: MIT
"""Runs Kaso under a debugger: with a gdb stub and a monitor on sockets in a folder of its own."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'monitor'))
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow
from schema import Types  # pylint: disable=wrong-import-position


def need(*programs):
    """The first of these programs that is installed; without any the test is skipped."""
    for program in programs:
        if shutil.which(program):
            return program
    print(f'skipped: {programs[0]} is not installed')
    sys.exit(77)


def target(kaso, name):
    """The link to the program that chooses a target."""
    return os.path.join(os.path.dirname(kaso), 'kaso-system-' + name)


def build_modes(compiler, source, folder):
    """The boot sector of modes.S: its ELF file and a floppy disk with it."""
    elf, image = os.path.join(folder, 'modes'), os.path.join(folder, 'modes.img')
    subprocess.run([compiler, '-m64', '-fuse-ld=bfd', '-nostdlib', '-static', '-no-pie', '-Wl,-N,--build-id=none',
                    '-Wl,-Ttext=0x7c00,--no-warn-rwx-segments', '-o', elf, source], check=True)
    subprocess.run(['objcopy', '-O', 'binary', '-j', '.text', elf, image], check=True)
    with open(image, 'ab') as file:
        file.truncate(1440 * 1024)
    return elf, image


class Kaso:
    """A run of `kaso` with more options; starts paused unless paused=False."""

    def __init__(self, kaso, *options, paused=True):
        self.folder = tempfile.TemporaryDirectory()
        self.gdb_socket = os.path.join(self.folder.name, 'gdb')
        self.monitor_socket = os.path.join(self.folder.name, 'monitor')
        self.qmp_socket = os.path.join(self.folder.name, 'qmp')
        command = [kaso, '-nodefaults', '-display', 'none',
                   '-gdb', f'unix:{self.gdb_socket},server=on,wait=off',
                   '-monitor', f'unix:{self.monitor_socket},server=on,wait=off',
                   '-qmp', f'unix:{self.qmp_socket},server=on,wait=off']
        command += (['-S'] if paused else []) + list(options)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.wait_for(self.monitor_socket)
        self.wait_for(self.gdb_socket)
        time.sleep(0.1)  # from its name to its first listening
        self.monitor = self.programs = self.answers = self.types = None

    def wait_for(self, path):
        deadline = time.monotonic() + allow(20)
        while not os.path.exists(path):
            if self.process.poll() is not None:
                raise AssertionError(self.process.stdout.read().decode())
            assert time.monotonic() < deadline, path
            time.sleep(0.02)

    def connect(self, path, timeout):
        """Connects to a socket, which may have a name before anybody listens."""
        deadline = time.monotonic() + allow(timeout)
        while True:
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(allow(timeout))
            try:
                peer.connect(path)
                return peer
            except ConnectionRefusedError:
                peer.close()
                assert time.monotonic() < deadline, path
                time.sleep(0.02)

    def hmp(self, line, timeout=60):
        """Runs a line in the monitor; returns what it prints."""
        if not self.monitor:
            self.monitor = self.connect(self.monitor_socket, timeout)
            self.until_prompt()
        self.monitor.sendall(line.encode() + b'\n')
        return self.until_prompt().split('\n', 1)[1] # behind its echo

    def qmp_send(self, name, /, identity=None, **arguments):
        """Sends a command of QMP, whose answer qmp_receive gets."""
        if not self.programs:
            self.programs = self.connect(self.qmp_socket, 60)
            self.answers = self.programs.makefile('r')
            self.qmp_receive()
            self.qmp('qmp_capabilities')
        message = {'execute': name, 'arguments': arguments}
        if identity is not None:
            message['id'] = identity
        self.programs.sendall(json.dumps(message).encode() + b'\n')

    def qmp_receive(self, wanted=None):
        """The next message of QMP, or the next that has such a member (or is the event of that name)."""
        while True:
            line = self.answers.readline()
            if not line:
                raise EOFError(wanted)
            message = json.loads(line)
            if wanted is None or wanted in message or message.get('event') == wanted:
                return message

    def qmp(self, name, /, **arguments):
        """Runs a command of QMP; returns its answer, "return", which is as the schema has it, or "error". What has an identity is the answer to another."""
        self.qmp_send(name, **arguments)
        while True:
            message = self.qmp_receive()
            if ('return' in message or 'error' in message) and 'id' not in message:
                break
        if 'return' in message and name not in ('qmp_capabilities', 'query-qmp-schema'):
            if not self.types:
                self.types = Types(self.qmp('query-qmp-schema')['return'])
            self.types.check(message['return'], self.types.returns[name], name)
        return message

    def told(self):
        """What the monitor says by itself next, when the machine has stopped."""
        return self.until_prompt()

    def until_prompt(self):
        text = b''
        while not text.endswith(b'(qemu) '):
            data = self.monitor.recv(65536)
            if not data:
                raise EOFError(text)
            text += data
        text = re.sub(rb'\x1b\[[0-9;]*[A-Za-z]', b'', text)
        return text[:-len(b'(qemu) ')].decode().replace('\r', '')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.monitor:
            self.monitor.close()
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


class Gdb:
    """A gdb-multiarch with its command line on pipes."""

    def __init__(self, program, kaso, *files):
        self.process = subprocess.Popen(
            [program, '-q', '-nx', '-ex', 'set pagination off', '-ex', 'set confirm off',
             '-ex', 'set width 0', '-ex', 'set remotetimeout 60', '-ex', 'set debuginfod enabled off', *files],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.text = ''
        self.until_prompt(60)
        if kaso:
            self.call(f'target remote {kaso.gdb_socket}')

    def until_prompt(self, timeout):
        """What gdb wrote up to its next prompt."""
        deadline = time.monotonic() + allow(timeout)
        os.set_blocking(self.process.stdout.fileno(), False)
        text = b''
        while not text.endswith(b'(gdb) '):
            data = self.process.stdout.read()
            if data:
                text += data
            elif data == b'' or self.process.poll() is not None:
                raise AssertionError('gdb has ended: ' + text.decode())
            else:
                if time.monotonic() > deadline:
                    raise AssertionError('no prompt of gdb after: ' + text.decode())
                time.sleep(0.01)
        text = text[:-len(b'(gdb) ')].decode(errors='replace')
        self.text += text
        return text

    def send(self, line):
        self.text += f'(gdb) {line}\n'
        self.process.stdin.write(line.encode() + b'\n')
        self.process.stdin.flush()

    def call(self, line, timeout=30):
        """Runs a command; returns what it prints."""
        self.send(line)
        text = self.until_prompt(timeout)
        for trouble in ('packet reply is too long', 'Remote failure', 'Truncated register',
                        'Unexpected vCont reply', 'malformed'):
            assert trouble not in text, f'{line}: {text}'
        return text

    def expect(self, line, pattern, timeout=30):
        """Runs a command whose output has to match."""
        text = self.call(line, timeout)
        assert re.search(pattern, text), f'{line}: expected {pattern!r}, got: {text}'
        return text

    def value(self, expression):
        text = self.call(f'output/d {expression}')
        match = re.search(r'-?\d+', text)
        assert match, f'{expression}: {text}'
        return int(match.group())

    def interrupt(self, timeout=30):
        """Ctrl-C while the program runs (it has had time to start); returns what gdb says."""
        time.sleep(0.5)
        self.process.send_signal(signal.SIGINT)
        return self.until_prompt(timeout)

    def close(self):
        self.process.kill()
        self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.text)
        self.close()
