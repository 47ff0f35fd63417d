# SPDX-License-Identifier: MIT
"""A client of gdb's remote serial protocol that speaks in raw packets, for tests."""
import os
import re
import socket
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow


class Remote:
    """A connection to a gdb stub. send() and receive() are for packets; raw() for bytes."""

    def __init__(self, address, timeout=20):
        deadline = time.monotonic() + allow(timeout)
        while True:
            try:
                if isinstance(address, str):
                    self.socket = socket.socket(socket.AF_UNIX)
                    self.socket.connect(address)
                else:
                    self.socket = socket.create_connection(address)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.socket.settimeout(allow(timeout))
        self.buffer = b''
        self.ack = True

    def close(self):
        self.socket.close()

    def raw(self, data):
        self.socket.sendall(data)

    def byte(self):
        if not self.buffer:
            self.buffer = self.socket.recv(65536)
            if not self.buffer:
                raise EOFError('the stub closed the connection')
        byte, self.buffer = self.buffer[:1], self.buffer[1:]
        return byte

    def send(self, packet):
        """Sends a packet and takes its acknowledgement."""
        data = packet if isinstance(packet, bytes) else packet.encode('latin-1')
        self.raw(b'$' + data + b'#%02x' % (sum(data) & 255))
        if self.ack:
            got = self.byte()
            if got != b'+':
                raise AssertionError(f'{packet!r} was answered by {got!r}, not acknowledged')

    def receive(self):
        """The next packet, with escapes and run lengths undone."""
        while self.byte() != b'$':
            pass
        data = bytearray()
        total = 0
        while True:
            byte = self.byte()
            if byte == b'#':
                break
            total += byte[0]
            if byte == b'}':
                byte = self.byte()
                total += byte[0]
                data.append(byte[0] ^ 0x20)
            elif byte == b'*':
                byte = self.byte()
                total += byte[0]
                data += data[-1:] * (byte[0] - 29)
            else:
                data.append(byte[0])
        checksum = int(self.byte() + self.byte(), 16)
        if checksum != total & 255:
            raise AssertionError(f'checksum {checksum:02x} of {bytes(data)!r} is not {total & 255:02x}')
        if self.ack:
            self.raw(b'+')
        return data.decode('latin-1')

    def call(self, packet):
        self.send(packet)
        return self.receive()

    def no_ack(self):
        assert self.call('QStartNoAckMode') == 'OK'
        self.ack = False

    def xfer(self, what, annex=''):
        """A whole object of qXfer."""
        text = ''
        while True:
            part = self.call(f'qXfer:{what}:read:{annex}:{len(text):x},ffb')
            if part[0] not in 'lm':
                raise AssertionError(f'qXfer:{what}:{annex}: {part!r}')
            text += part[1:]
            if part[0] == 'l':
                return text

    def description(self):
        """Registers by name: (number, bits), from the target description and all that it includes."""
        todo, registers, number = ['target.xml'], {}, 0
        while todo:
            xml = self.xfer('features', todo.pop(0))
            todo = re.findall(r'xi:include href="([^"]+)"', xml) + todo
            for tag in re.findall(r'<reg\s[^>]*>', xml):
                attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
                number = int(attributes.get('regnum', number))
                registers[attributes['name']] = (number, int(attributes['bitsize']))
                number += 1
        return registers

    def register(self, number, size):
        text = self.call(f'p{number:x}')
        return int.from_bytes(bytes.fromhex(text[:2 * size]), 'little')
