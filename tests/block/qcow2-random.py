#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random operations on qcow2 images: Kaso's tools and, when installed, QEMU's take turns.

A bytearray is the model. After every round the content must equal the model and both checkers
must find nothing.
usage: qcow2-random.py KASO_IMG KASO_IO [--rounds N] [--seed N] [--config SUBSTRING]
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile

CONFIGS = [
    # create options, backing, compressed writes
    ('cluster_size=64k', False, True),
    ('cluster_size=512', False, True),
    ('cluster_size=4k,refcount_bits=1', False, False),
    ('cluster_size=4k,refcount_bits=2', True, True),
    ('cluster_size=16k,refcount_bits=64,compression_type=zstd', True, True),
    ('cluster_size=2M,refcount_bits=8', True, True),
    ('cluster_size=64k,compat=0.10', True, True),
    ('cluster_size=16k,extended_l2=on', True, True),
    ('cluster_size=64k,extended_l2=on,refcount_bits=32', False, True),
    ('cluster_size=64k,lazy_refcounts=on', True, True),
    ('cluster_size=64k,data_file=%DATA%', False, False),
    ('cluster_size=64k,data_file=%DATA%,data_file_raw=on', False, False),
    ('cluster_size=8k,preallocation=metadata', False, True),
]
MIB = 1 << 20


def run(command, ok=(0,)):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode not in ok:
        print(' '.join(command))
        print(done.stdout)
        sys.exit('failed with status %d' % done.returncode)
    return done.stdout


class Test:
    def __init__(self, args, config, seed):
        self.options, self.has_backing, self.compress = config
        self.random = random.Random(seed)
        self.dir = tempfile.mkdtemp(prefix='kaso-qcow2-')
        self.image = os.path.join(self.dir, 'image.qcow2')
        self.tools = [(args.kaso_img, args.kaso_io, 'kaso')]
        qemu_img, qemu_io = args.qemu_img, args.qemu_io
        if qemu_img and qemu_io:
            self.tools.append((qemu_img, qemu_io, 'qemu'))
        self.size = 6 * MIB + 512 * self.random.randrange(0, 200)
        self.cluster = 65536
        for item in self.options.split(','):
            if item.startswith('cluster_size='):
                text = item.split('=')[1]
                units = {'k': 1024, 'M': MIB}
                self.cluster = int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)
        self.snapshots = {}
        self.can_snapshot = 'data_file' not in self.options and not {'refcount_bits=1', 'refcount_bits=2'} & set( \
            self.options.split(','))
        self.can_discard = 'compat=0.10' not in self.options or not self.has_backing

    def create(self):
        self.model = bytearray(self.size)
        options = self.options.replace('%DATA%', os.path.join(self.dir, 'data.raw'))
        command = ['create', '-q', '-f', 'qcow2', '-o', options]
        if self.has_backing:
            base = os.path.join(self.dir, 'base.raw')
            base_size = self.size - 300 * 1024
            data = self.random.randbytes(base_size)
            with open(base, 'wb') as file:
                file.write(data)
            self.model[:base_size] = data
            command += ['-b', base, '-F', 'raw']
        tool = self.random.choice(self.tools)
        run([*tool[0].split(), *command, self.image, str(self.size)])

    def range(self):
        kind = self.random.randrange(4)
        if kind == 0:
            length = self.random.randrange(1, 5000)
        elif kind == 1:
            length = self.random.randrange(1, 3 * self.cluster + 1)
        elif kind == 2:
            length = 512 * self.random.randrange(1, 64)
        else:
            length = self.random.randrange(1, 300000)
        length = min(length, self.size)
        offset = self.random.randrange(0, self.size - length + 1)
        if kind == 2:
            offset &= ~511
        return offset, length

    def operation(self, tool):
        """One kaso-io/qemu-io command, applied to the model."""
        offset, length = self.range()
        kind = self.random.randrange(12)
        if kind < 6:
            pattern = self.random.randrange(1, 256)
            self.model[offset:offset + length] = bytes([pattern]) * length
            return 'write -q -P %d %d %d' % (pattern, offset, length)
        if kind < 8:
            flag = self.random.choice(['', '-u '])
            self.model[offset:offset + length] = bytes(length)
            return 'write -q -z %s%d %d' % (flag, offset, length)
        if kind == 8 and self.compress and tool[2] == 'kaso':  # QEMU cannot overwrite
            offset = offset // self.cluster * self.cluster
            length = min(self.cluster, self.size - offset)
            pattern = self.random.randrange(1, 256)
            self.model[offset:offset + length] = bytes([pattern]) * length
            return 'write -q -c -P %d %d %d' % (pattern, offset, length)
        if kind == 9 and self.can_discard:
            # Whole clusters only: what a partial discard leaves is not defined.
            offset = offset // self.cluster * self.cluster
            length = min(self.cluster * self.random.randrange(1, 4), self.size - offset)
            if length % self.cluster == 0 or offset + length == self.size:
                self.model[offset:offset + length] = bytes(length)
                return 'discard -q %d %d' % (offset, length)
        if kind == 10:
            return 'flush'
        run_byte = self.model[offset]
        length = 1
        while offset + length < self.size and self.model[offset + length] == run_byte and \
                length < 100000:
            length += 1
        return 'read -q -P %d %d %d' % (run_byte, offset, length)

    def snapshot(self, tool):
        action = self.random.randrange(3)
        if action == 0 and len(self.snapshots) < 3:
            name = 's%d' % self.random.randrange(1000)
            if name not in self.snapshots:
                run([*tool[0].split(), 'snapshot', '-c', name, self.image])
                self.snapshots[name] = bytes(self.model)
        elif action == 1 and self.snapshots:
            name = self.random.choice(sorted(self.snapshots))
            run([*tool[0].split(), 'snapshot', '-a', name, self.image])
            self.model = bytearray(self.snapshots[name])
        elif self.snapshots:
            name = self.random.choice(sorted(self.snapshots))
            run([*tool[0].split(), 'snapshot', '-d', name, self.image])
            del self.snapshots[name]

    def verify(self):
        for tool in self.tools:
            run([*tool[0].split(), 'check', '-q', self.image])
        tool = self.random.choice(self.tools)
        raw = os.path.join(self.dir, 'out.raw')
        run([*tool[0].split(), 'convert', '-O', 'raw', self.image, raw])
        with open(raw, 'rb') as file:
            data = file.read()
        if data != self.model:
            at = next(i for i in range(len(data)) if data[i] != self.model[i])
            sys.exit('%s: content differs from the model at %d: %d, should be %d' %
                     (self.options, at, data[at], self.model[at]))

    def compare_json(self):
        if len(self.tools) < 2:
            return
        import json
        for command in (['map', '--output=json'], ['info', '--output=json']):
            answers = [json.loads(run([*tool[0].split(), *command, self.image]))
                       for tool in self.tools]
            if command[0] == 'map' and 'compressed' not in answers[1][0]:
                for extent in answers[0]:  # an older QEMU
                    del extent['compressed']
            if answers[0] != answers[1] and not (command[0] == 'info' and
                                                 'children' not in answers[1]):
                if command[0] == 'map':
                    pairs = [pair for pair in zip(*answers) if pair[0] != pair[1]][:3]
                else:
                    pairs = answers
                print(pairs)
                sys.exit('%s: %s differs' % (self.options, command[0]))

    def go(self, rounds):
        self.create()
        for _ in range(rounds):
            tool = self.random.choice(self.tools)
            shutil.copyfile(self.image, self.image + '.before')  # to look at after a failure
            command = [*tool[1].split(), '-d', 'unmap', '-f', 'qcow2']
            for _ in range(self.random.randrange(1, 12)):
                command += ['-c', self.operation(tool)]
            output = run(command + [self.image])
            if 'failed' in output:
                sys.exit('%s\n%s' % (' '.join(command), output))
            if self.can_snapshot and self.random.randrange(3) == 0:
                self.snapshot(self.random.choice(self.tools))
            self.verify()
        self.compare_json()
        shutil.rmtree(self.dir)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('kaso_img')
    parser.add_argument('kaso_io')
    parser.add_argument('--rounds', type=int, default=6)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--config', default='')
    parser.add_argument('--qemu-img', default=os.environ.get('QEMU_IMG') or shutil.which('qemu-img'))
    parser.add_argument('--qemu-io', default=os.environ.get('QEMU_IO') or shutil.which('qemu-io'))
    args = parser.parse_args()
    for config in CONFIGS:
        if args.config in config[0]:
            Test(args, config, '%d %s' % (args.seed, config[0])).go(args.rounds)
            print('ok', config[0])


main()
