#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random operations on one qcow2 image: Kaso's tools and, when installed, QEMU's take turns.

A bytearray is the model. A turn is a batch of operations in one run of kaso-io or qemu-io, then now
and then a snapshot, a resize, a commit or a rebase by one of the two image tools. After each turn
both checkers must find nothing, not even a leak, `info` and `map` of both must be equal field by
field, and the content must be the model's. What fails leaves its folder: the image before the turn, and turn.sh.

usage: qcow2-random.py KASO_IMG KASO_IO [--ops N] [--batch N] [--seed N] [--config NAME]
QEMU_IMG and QEMU_IO, or --qemu-img and --qemu-io, name another QEMU than the one in PATH.
"""
import argparse
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

MIB = 1 << 20
SECRET = 'secret,id=key,data=correct-horse'
CONFIGS = {
    # name: (create options, traits)
    'cluster-512': ('cluster_size=512', 'compress'),
    'cluster-512-backing': ('cluster_size=512', 'compress backing'),
    'cluster-4k': ('cluster_size=4k', 'compress'),
    'cluster-4k-backing': ('cluster_size=4k', 'compress backing'),
    'cluster-64k': ('cluster_size=64k', 'compress'),
    'cluster-64k-backing': ('cluster_size=64k', 'compress backing'),
    'cluster-2m': ('cluster_size=2M', 'compress'),
    'cluster-2m-backing': ('cluster_size=2M,refcount_bits=8', 'compress backing'),
    'refcount-1': ('cluster_size=4k,refcount_bits=1', 'backing'),
    'refcount-2': ('cluster_size=4k,refcount_bits=2', 'backing'),
    'refcount-2-compressed': ('cluster_size=4k,refcount_bits=2', 'compress backing no-snapshots'),
    'refcount-4': ('cluster_size=64k,refcount_bits=4', 'backing'),
    'refcount-8': ('cluster_size=512,refcount_bits=8', 'compress'),
    'refcount-32': ('cluster_size=8k,refcount_bits=32', 'compress backing'),
    'refcount-64': ('cluster_size=512,refcount_bits=64', 'compress backing'),
    'zstd': ('cluster_size=16k,compression_type=zstd', 'compress'),
    'zstd-backing': ('cluster_size=64k,compression_type=zstd', 'compress backing'),
    'subclusters-16k': ('cluster_size=16k,extended_l2=on', 'compress backing'),
    'subclusters-64k': ('cluster_size=64k,extended_l2=on,refcount_bits=32', 'compress'),
    'subclusters-2m-zstd': ('cluster_size=2M,extended_l2=on,compression_type=zstd', 'compress backing'),
    'data-file': ('cluster_size=64k,data_file=%DATA%', ''),
    'data-file-backing': ('cluster_size=4k,data_file=%DATA%', 'backing'),
    'data-file-subclusters': ('cluster_size=16k,extended_l2=on,data_file=%DATA%', 'backing'),
    'data-file-raw': ('cluster_size=64k,data_file=%DATA%,data_file_raw=on', 'raw-data'),
    'luks': ('cluster_size=64k,encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10',
             'key'),
    'luks-backing': ('cluster_size=4k,encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10',
                     'key backing'),
    'luks-subclusters': ('cluster_size=16k,extended_l2=on,encrypt.format=luks,'
                         'encrypt.key-secret=key,encrypt.iter-time=10', 'key backing'),
    'aes': ('cluster_size=4k,encrypt.format=aes,encrypt.key-secret=key', 'key backing'),
    'v2': ('cluster_size=64k,compat=0.10', 'compress v2'),
    'v2-backing': ('cluster_size=4k,compat=0.10', 'compress v2 backing'),
    'lazy-refcounts': ('cluster_size=64k,lazy_refcounts=on', 'compress backing'),
    'lazy-refcounts-4k': ('cluster_size=4k,lazy_refcounts=on', 'compress'),
    'preallocated': ('cluster_size=8k,preallocation=metadata', 'compress'),
}


class Failure(Exception):
    """What went wrong, for a person."""


class Tool:
    """kaso-img with kaso-io, or qemu-img with qemu-io."""

    def __init__(self, name, img, io):
        self.name, self.img, self.io = name, img.split(), io.split()


def run(command, log=None):
    if log is not None:
        log.append(shlex.join(command))
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors='replace', timeout=allow(300))
    if done.returncode or 'failed' in done.stdout:
        raise Failure('%s\nstatus %d: %s' % (' '.join(command), done.returncode, done.stdout[-2000:]))
    return done.stdout


def flatten(value):
    """{"a": {"b": 1}} and {"a.b": 1} name the same option."""
    flat = {}
    for key, item in value.items():
        below = flatten(item) if isinstance(item, dict) else {'': item}
        flat.update({key + '.' * bool(rest) + rest: leaf for rest, leaf in below.items()})
    return flat


def differences(kaso, qemu, old, path=''):
    """The fields in which two JSON values differ; an old QEMU lacks some."""
    if isinstance(kaso, dict) and isinstance(qemu, dict):
        for key in sorted(qemu if old else set(kaso) | set(qemu)):
            yield from differences(kaso.get(key, 'missing'), qemu.get(key, 'missing'), old, path + '.' + key)
    elif isinstance(kaso, list) and isinstance(qemu, list) and len(kaso) == len(qemu):
        for i, pair in enumerate(zip(kaso, qemu)):
            yield from differences(*pair, old, '%s[%d]' % (path, i))
    elif all(isinstance(name, str) and name.startswith('json:') for name in (kaso, qemu)):
        names = [flatten(json.loads(name[5:])) for name in (kaso, qemu)]
        yield from differences(*names, old, path)
    elif kaso != qemu:
        yield '%s: kaso %s, qemu %s' % (path, kaso, qemu)


class Image:
    """The image, its model, and the operations on both."""

    def __init__(self, tools, name, seed):
        options, traits = CONFIGS[name]
        self.tools, self.options, self.traits = tools, options.split(','), set(traits.split())
        self.random = random.Random('%d %s' % (seed, name))
        self.dir = tempfile.mkdtemp(prefix='kaso-qcow2-')
        self.image = self.path('image.qcow2')
        self.cluster = self.cluster_size()
        self.size = (24 if self.cluster == 2 * MIB else 6) * MIB + 512 * self.random.randrange(200)
        self.tail = False  # behind the end lies what a shrinking has cut off
        self.has_backing = 'backing' in self.traits
        self.bases = 0
        self.snapshots, self.done = {}, 0
        self.turn = []  # its commands
        bits = [int(o.split('=')[1]) for o in self.options if o.startswith('refcount_bits=')]
        self.snapshots_max = max(0, min(3, (1 << (bits or [16])[0]) - 3))  # applying needs one more
        if 'no-snapshots' in self.traits or any('data_file' in o for o in self.options):
            self.snapshots_max = 0
        with open(self.path('noise'), 'wb') as file:
            self.noise = self.random.randbytes(self.cluster)
            file.write(self.noise)

    def path(self, name):
        return os.path.join(self.dir, name)

    def cluster_size(self):
        text = next(o for o in self.options if o.startswith('cluster_size=')).split('=')[1]
        units = {'k': 1024, 'M': MIB}
        return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)

    def named(self):
        """How a command line names the image."""
        if 'key' in self.traits:
            return ['--object', SECRET, '--image-opts',
                    'driver=qcow2,encrypt.key-secret=key,file.filename=' + self.image]
        return ['-f', 'qcow2', self.image]

    def img(self, tool, *command):
        """An image command; the image's name comes last."""
        named = self.named()
        if command[0] == 'snapshot' and 'key' not in self.traits:
            named = [self.image]
        return run([*tool.img, *command, *named], self.turn)

    def pick(self):
        return self.random.choice(self.tools)

    def new_base(self):
        """A backing file of random content; returns its format."""
        size = max(512, self.size - 512 * self.random.randrange(1200))
        self.base_content = bytearray(self.random.randbytes(size))
        zeroes = self.random.randrange(size // 2)
        self.base_content[zeroes:zeroes + size // 4] = bytes(size // 4)
        self.bases += 1
        self.base = self.path('base%d' % self.bases)
        self.base_format = self.random.choice(['raw', 'qcow2'])
        with open(self.path('plain'), 'wb') as file:
            file.write(self.base_content)
        run([*self.pick().img, 'convert', '-f', 'raw', '-O', self.base_format, self.path('plain'), self.base])

    def create(self):
        self.model = bytearray(self.size)
        options = ','.join(self.options).replace('%DATA%', self.path('data.raw'))
        command = ['create', '-q', '-f', 'qcow2', '-o', options]
        if 'key' in self.traits:
            command += ['--object', SECRET]
        if self.has_backing:
            self.new_base()
            self.model[:len(self.base_content)] = self.base_content
            command += ['-b', self.base, '-F', self.base_format]
        try:
            run([*self.pick().img, *command, self.image, str(self.size)])
        except Failure as failure:
            if 'accurate CPU usage' not in str(failure):  # QEMU's clock, for LUKS
                raise
            run([*self.tools[0].img, *command, self.image, str(self.size)])

    # Operations of the io tools.

    def range(self):
        kind = self.random.randrange(5)
        if kind == 0:
            length = self.random.randrange(1, 5000)
        elif kind == 1:
            length = self.random.randrange(1, 3 * self.cluster + 1)
        elif kind == 2:
            length = 512 * self.random.randrange(1, 64)
        elif kind == 3:
            length = self.cluster * self.random.randrange(1, 5)
        else:
            length = self.random.randrange(1, 300000)
        length = min(length, self.size)
        offset = self.random.randrange(0, self.size - length + 1)
        if kind == 2:
            offset &= ~511
        elif kind == 3:
            offset = offset // self.cluster * self.cluster
        return offset, length

    def fill(self, offset, length, value):
        self.model[offset:offset + length] = bytes([value]) * length

    def op_write(self, _):
        offset, length = self.range()
        pattern = self.random.randrange(1, 256)
        self.fill(offset, length, pattern)
        flag = self.random.choice(['', '', '', '-f '])
        return ['write -q %s-P %d %d %d' % (flag, pattern, offset, length)]

    def op_aio(self, _):
        """Writes next to each other in flight at once."""
        offset, length = self.range()
        cuts = sorted({offset, offset + length, *(offset + self.random.randrange(length) for _ in range(3))})
        commands = []
        for start, end in zip(cuts, cuts[1:]):
            pattern = self.random.randrange(1, 256)
            self.fill(start, end - start, pattern)
            commands.append('aio_write -q -P %d %d %d' % (pattern, start, end - start))
        self.random.shuffle(commands)
        return commands + ['aio_flush']

    def op_zero(self, _):
        offset, length = self.range()
        self.fill(offset, length, 0)
        return ['write -q -z %s%d %d' % (self.random.choice(['', '-u ']), offset, length)]

    def whole_clusters(self, count):
        offset = self.random.randrange(self.size) // self.cluster * self.cluster
        return offset, min(self.cluster * count, self.size - offset)

    def op_discard(self, _):
        """Whole clusters only: what a partial discard leaves is not defined."""
        if {'v2', 'backing'} <= self.traits:
            return ['flush']
        offset, length = self.whole_clusters(self.random.randrange(1, 4))
        self.fill(offset, length, 0)
        return ['discard -q %d %d' % (offset, length)]

    def op_compress(self, tool):
        if 'compress' not in self.traits or tool.name == 'qemu':
            return self.op_write(tool)
        return [self.compress(*self.whole_clusters(1))]

    def compress(self, offset, length):
        if self.random.randrange(3):
            pattern = self.random.randrange(1, 256)
            self.fill(offset, length, pattern)
            source = '-P %d' % pattern
        else:
            self.model[offset:offset + length] = self.noise[:length]
            source = '-s ' + self.path('noise')
        return 'write -q -c %s %d %d' % (source, offset, length)

    def op_read(self, _):
        offset = self.random.randrange(self.size)
        chunk = self.model[offset:offset + self.random.randrange(1, 100000)]
        length = len(chunk) - len(chunk.lstrip(chunk[:1]))
        return ['read -q -P %d %d %d' % (chunk[0], offset, length)]

    def op_flush(self, _):
        return ['flush']

    def new_size(self):
        return max(512, self.size + 512 * self.random.randrange(-300, 350))

    def can_resize(self, tool, size):
        if tool.name == 'qemu' and size > self.size and 'extended_l2=on' in self.options and self.has_backing:
            return False  # up to version 11.1 it cannot zero a compressed cluster at the old end
        if tool.name == 'qemu' and size > self.size and {'v2', 'backing'} <= self.traits:
            return False  # it has no zero clusters to hide the backing file with
        if size > self.size and self.tail and tool.name == 'qemu':
            return False  # what it shows of the cluster that a shrinking cut is not defined
        return not ('v2' in self.traits and self.snapshots)

    def resized(self, size):
        same_cluster = size // self.cluster == self.size // self.cluster
        self.tail = size % self.cluster != 0 and (size < self.size or self.tail and same_cluster)
        if size < self.size:
            del self.model[size:]
        else:
            self.model += bytes(size - self.size)
        self.size = size

    def op_truncate(self, tool):
        size = self.new_size()
        if not self.can_resize(tool, size):
            return ['flush']
        self.resized(size)
        return ['truncate %d' % self.size]

    OPERATIONS = [op_write] * 18 + [op_aio] * 3 + [op_zero] * 7 + [op_discard] * 4 + \
        [op_compress] * 4 + [op_read] * 7 + [op_flush] * 2 + [op_truncate]

    def run_io(self, tool, operations):
        command = [*tool.io, '-d', 'unmap']
        for operation in operations:
            command += ['-c', operation]
        self.done += len(operations)
        run(command + self.named(), self.turn)

    def batch(self, tool, count):
        operations = []
        while len(operations) < count:
            operations += self.random.choice(self.OPERATIONS)(self, tool)
        self.run_io(tool, operations)
        if tool.name == 'qemu' and 'compress' in self.traits and not {'v2', 'backing'} <= self.traits:
            self.compress_by_qemu(tool)

    def compress_by_qemu(self, tool):
        """QEMU compresses into a cluster only when it has none; and up to version 11.1, one run that
        frees compressed clusters and then compresses damages the image."""
        places = {self.whole_clusters(1) for _ in range(self.random.randrange(1, 6))}
        places = self.random.sample(sorted(places), len(places))
        self.run_io(tool, ['discard -q %d %d' % place for place in places])
        self.run_io(tool, [self.compress(*place) for place in places])

    # Commands of the image tools.

    def snapshot(self, tool):
        action = self.random.choice(['-c', '-a', '-d'])
        if action == '-c' or not self.snapshots:
            name = 's%d' % self.done
            if len(self.snapshots) >= self.snapshots_max or name in self.snapshots:
                return
            self.img(tool, 'snapshot', '-c', name)
            self.snapshots[name] = bytes(self.model), self.tail
            return
        name = self.random.choice(sorted(self.snapshots))
        size = len(self.snapshots[name][0]) if action == '-a' else self.size
        if size != self.size and not self.can_resize(tool, size):
            tool = self.tools[0]
        self.img(tool, 'snapshot', action, name)
        if action == '-a':
            content, self.tail = self.snapshots[name]
            self.model = bytearray(content)
            self.size = len(self.model)
        else:
            del self.snapshots[name]

    def resize(self, tool):
        size = self.new_size()
        if not self.can_resize(tool, size):
            return
        self.resized(size)
        named = self.named()
        run([*tool.img, 'resize', '-q', '--shrink', *named, str(self.size)], self.turn)

    def drop_snapshots(self, tool):
        """What changes the backing file's content would change the snapshots'."""
        for name in self.snapshots:
            self.img(tool, 'snapshot', '-d', name)
        self.snapshots = {}

    def commit(self, tool):
        self.drop_snapshots(tool)
        self.img(tool, 'commit', '-q')
        self.base_content[:self.size] = self.model
        self.check_content(self.base_format, self.base, self.base_content)

    def rebase(self, tool):
        self.drop_snapshots(tool)
        old = self.base
        self.new_base()
        self.img(tool, 'rebase', '-b', self.base, '-F', self.base_format)
        os.unlink(old)

    def manage(self):
        choices = [self.snapshot] * 5 * (self.snapshots_max > 0) + [self.resize]
        if self.has_backing:
            choices += [self.commit, self.rebase] * (1 + (self.snapshots_max == 0))
        self.done += 1
        self.random.choice(choices)(self.pick())

    # Proof.

    def check_content(self, image_format, path, expected):
        raw = self.path('out.raw')
        named = ['-f', image_format, path] if path != self.image else self.named()
        run([*self.pick().img, 'convert', '-O', 'raw', *named, raw])
        self.compare(raw, expected)

    def compare(self, path, expected, prefix=False):
        with open(path, 'rb') as file:
            data = file.read(len(expected) if prefix else -1)
        if data != expected:
            if len(data) != len(expected):
                raise Failure('%s: %d bytes, should be %d' % (path, len(data), len(expected)))
            at = next(i for i in range(len(data)) if data[i] != expected[i])
            raise Failure('%s differs from the model at %d: %d, should be %d' %
                          (path, at, data[at], expected[at]))

    def verify(self):
        for tool in self.tools:
            self.img(tool, 'check', '-q')
        self.check_content('qcow2', self.image, self.model)
        if 'raw-data' in self.traits:
            self.compare(self.path('data.raw'), self.model, prefix=True)
        if len(self.tools) == 2:
            for command in 'map', 'info':
                self.compare_json(command)

    def compare_json(self, command):
        kaso, qemu = [json.loads(self.img(tool, command, '--output=json')) for tool in self.tools]
        old = command == 'map' and 'compressed' not in qemu[0] or \
            command == 'info' and 'children' not in qemu
        different = list(differences(kaso, qemu, old))
        if different:
            raise Failure('%s differs: %s' % (command, '; '.join(different[:5])))

    def go(self, operations, batch):
        self.create()
        while self.done < operations:
            self.turn.clear()
            for name in os.listdir(self.dir):
                if name in ('image.qcow2', 'data.raw') or name == os.path.basename(getattr(self, 'base', '')):
                    shutil.copyfile(self.path(name), self.path('before-' + name))
            self.batch(self.pick(), self.random.randrange(1, 2 * batch))
            for _ in range(self.random.randrange(3)):
                self.manage()
            self.verify()
        shutil.rmtree(self.dir)
        return self.done


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('kaso_img')
    parser.add_argument('kaso_io')
    parser.add_argument('--ops', type=int, default=30, help='operations per configuration')
    parser.add_argument('--batch', type=int, default=15, help='mean operations per turn')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--config', action='append', help='only these (default: all)')
    parser.add_argument('--qemu-img', default=os.environ.get('QEMU_IMG') or shutil.which('qemu-img'))
    parser.add_argument('--qemu-io', default=os.environ.get('QEMU_IO') or shutil.which('qemu-io'))
    args = parser.parse_args()
    tools = [Tool('kaso', args.kaso_img, args.kaso_io)]
    if args.qemu_img and args.qemu_io:
        tools.append(Tool('qemu', args.qemu_img, args.qemu_io))
    for name in args.config or CONFIGS:
        image = Image(tools, name, args.seed)
        try:
            print('ok %s: %d operations' % (name, image.go(args.ops, args.batch)), flush=True)
        except Failure as failure:
            with open(image.path('turn.sh'), 'w', encoding='utf-8') as file:
                file.write('\n'.join(image.turn) + '\n')
            sys.exit('%s (seed %d, in %s, after %d operations): %s' %
                     (name, args.seed, image.dir, image.done, failure))


if __name__ == '__main__':
    main()
