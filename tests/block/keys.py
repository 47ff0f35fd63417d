# SPDX-License-Identifier: MIT
"""LUKS key slots by `kaso-img amend`, in turns with qemu-img where one is installed.

usage: keys.py KASO_IMG KASO_IO [--thorough]
QEMU_IMG and QEMU_IO name another QEMU than the one in PATH.
"""
import base64
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from patience import allow

IMG, IO = map(os.path.abspath, sys.argv[1:3])
QEMU = [(os.environ.get(variable) or shutil.which(name) or '').split()
        for variable, name in (('QEMU_IMG', 'qemu-img'), ('QEMU_IO', 'qemu-io'))]
TOOLS = {'kaso': ([IMG], [IO])}
if all(QEMU):
    TOOLS['qemu'] = tuple(QEMU)
SECRETS = [a for s in 'abcd' for a in ('--object', 'secret,id=%s,data=%s' % (s, s * 3))]


def run(*command, status=0):
    for _ in range(10):
        done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=allow(60))
        if 'accurate CPU usage' not in done.stdout:  # QEMU's measuring of PBKDF2, on a busy host
            break
    assert done.returncode == status, (command, done.returncode, done.stdout)
    return done.stdout


# Older QEMUs know neither SM3 nor headers in a file of their own.
MODERN = {name: tools for name, tools in TOOLS.items()
          if 'detached-header' in run(*tools[0], 'create', '-f', 'luks', '-o', 'help', 'none')}


class Image:
    def __init__(self, format_name, maker):
        self.name = 'image.' + format_name
        self.format = format_name
        self.prefix = '' if format_name == 'luks' else 'encrypt.'
        options = 'key-secret=a,iter-time=10'.replace('key', self.prefix + 'key', 1) \
            .replace(',iter', ',%siter' % self.prefix)
        if format_name == 'qcow2':
            options += ',encrypt.format=luks'
        run(*TOOLS[maker][0], 'create', '-q', *SECRETS, '-f', format_name, '-o', options, self.name, '2M')

    def source(self, secret):
        return 'driver=%s,%skey-secret=%s,file.filename=%s' % (self.format, self.prefix, secret, self.name)

    def amend(self, who, options, *more, key='a', status=0):
        if 'new-secret' in options:
            options += ',iter-time=10'
        options = ','.join(self.prefix + o for o in options.split(','))
        return run(*TOOLS[who][0], 'amend', *SECRETS, '-o', options, *more, '--image-opts',
                   self.source(key), status=status)

    def opens(self, secret):
        """Whether it opens; all tools must be of one opinion."""
        answers = set()
        for _, io in TOOLS.values():
            done = subprocess.run([*io, *SECRETS, '--image-opts', self.source(secret), '-c', 'read -P 5 1M 64k'],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=allow(60))
            assert 'verification failed' not in done.stdout, done.stdout
            answers.add(done.returncode)
        assert len(answers) == 1, (self.name, secret, answers)
        return answers == {0}

    def expect(self, secrets):
        assert ''.join(s for s in 'abcd' if self.opens(s)) == secrets

    def active(self):
        data = json.loads(run(IMG, 'info', '--output=json', self.name))['format-specific']['data']
        return ''.join('01'[s['active']] for s in data.get('encrypt', data)['slots'])


def turns(format_name, maker):
    """Each tool undoes and overwrites what the other has done."""
    image = Image(format_name, maker)
    other = sorted(TOOLS)[-1]
    run(IO, *SECRETS, '--image-opts', image.source('a'), '-c', 'write -P 5 1M 64k')
    image.amend('kaso', 'state=active,new-secret=b')
    image.amend(other, 'state=active,new-secret=c')
    image.expect('abc')
    image.amend('kaso', 'state=active,new-secret=d,keyslot=6', key='c')
    assert image.active() == '11100010'
    image.amend(other, 'state=inactive,keyslot=6')
    image.amend('kaso', 'state=inactive,old-secret=c')
    image.expect('ab')
    image.amend('kaso', 'state=active,new-secret=c,keyslot=0', '--force')
    image.expect('bc')
    image.amend(other, 'state=active,new-secret=a,keyslot=7', key='c')
    image.amend('kaso', 'state=inactive,old-secret=b', key='a')
    assert image.active() == '10000001'
    image.expect('ac')
    if format_name == 'qcow2':
        assert 'No errors' in run(IMG, 'check', image.name)


def refusals(format_name):
    image = Image(format_name, 'kaso')
    for text, options in (
            ('last active', 'state=inactive,old-secret=a'),
            ('last active', 'state=inactive,keyslot=0'),
            ('--force', 'state=active,new-secret=b,keyslot=0'),
            ('between 0 and 7', 'state=active,new-secret=b,keyslot=8'),
            ('opens no keyslot', 'state=inactive,old-secret=b'),
            ('already', 'state=inactive,keyslot=3'),
            ('Which key', 'state=inactive'),
            ("'new-secret' is required", 'state=active'),
            ("'new-secret' has no place", 'state=inactive,new-secret=b'),
            ("'state' is missing", 'new-secret=b'),
            ("'old-secret'", 'state=active,old-secret=a,new-secret=b'),
            ('nope', 'state=active,new-secret=nope'),
            ('only supported for image creation', 'cipher-alg=aes-128')):
        assert text in image.amend('kaso', options, status=1), options
    run(IMG, 'info', *SECRETS, '--image-opts', image.source('a'))
    for _ in range(7):
        image.amend('kaso', 'state=active,new-secret=b')
    assert 'All keyslots' in image.amend('kaso', 'state=active,new-secret=c', status=1)
    image.amend('kaso', 'state=inactive,old-secret=b')
    assert image.active() == '10000000'
    image.amend('kaso', 'state=inactive,keyslot=0', '--force')
    assert image.active() == '00000000'
    assert 'cannot unlock' in image.amend('kaso', 'state=active,new-secret=b', status=1)


def measured():
    """What measure says is what create makes; QEMU says the same."""
    for format_name, prefix in (('luks', ''), ('qcow2', 'encrypt.')):
        for cipher, mode in (('aes-128', 'xts'), ('aes-192', 'cbc'), ('aes-256', 'xts')):
            options = ','.join(prefix + o for o in ('key-secret=a', 'iter-time=10', 'cipher-alg=' + cipher, 'cipher-mode=' + mode))
            if prefix:
                options += ',encrypt.format=luks,cluster_size=4k'
            answers = {run(*img, 'measure', '--output=json', *SECRETS, '-O', format_name, '-o', options,
                           '--size', '3M') for img, _ in TOOLS.values() if img == [IMG] or cipher != 'aes-192'}
            assert len(answers) == 1, answers
            run(IMG, 'create', '-q', *SECRETS, '-f', format_name, '-o', options, 'measured', '3M')
            source = 'driver=%s,%skey-secret=a,file.filename=measured' % (format_name, prefix)
            run(IO, *SECRETS, '--image-opts', source, '-c', 'write -P 5 0 3M', '-c', 'read -P 5 0 3M')
            assert os.path.getsize('measured') == json.loads(answers.pop())['fully-allocated']
    assert 'key-secret' in run(IMG, 'measure', '-O', 'luks', '--size', '1M', status=1)
    assert "'foo'" in run(IMG, 'measure', '-O', 'qcow2', '-o', 'foo=1', '--size', '1M', status=1)


IO_WRITE = ('-c', 'write -P 7 0 64k', '-c', 'write -P 9 300k 4k', '-c', 'write -P 8 1020k 4k')
IO_READ = tuple(c.replace('write', 'read') for c in IO_WRITE)


def cipher(format_name, algorithm, mode, iv):
    """Each tool makes an image, each writes it, the others read it."""
    prefix = '' if format_name == 'luks' else 'encrypt.'
    options = {'key-secret': 'a', 'iter-time': '10', 'cipher-alg': algorithm, 'cipher-mode': mode, 'ivgen-alg': iv.split(':')[0]}
    if ':' in iv:
        options['ivgen-hash-alg'] = iv.split(':')[1]
    if prefix:
        options['format'] = 'luks'
    text = ','.join(prefix + k + '=' + v for k, v in options.items())
    sizes, infos = set(), []
    for maker, (img, _) in MODERN.items():
        run(*img, 'create', '-q', *SECRETS, '-f', format_name, '-o', text, maker, '1M')
        source = 'driver=%s,%skey-secret=a,file.filename=%s' % (format_name, prefix, maker)
        for _, writer in MODERN.values():
            run(*writer, *SECRETS, '--image-opts', source, *IO_WRITE)
            for _, reader in MODERN.values():
                assert 'failed' not in run(*reader, *SECRETS, '--image-opts', source, *IO_READ), (algorithm, mode, iv)
        data = [json.loads(run(*t, 'info', '--output=json', maker))['format-specific']['data'] for t, _ in MODERN.values()]
        assert all(d == data[0] for d in data), data
        data = data[0].get('encrypt', data[0])
        infos.append([data.get(k) for k in ('cipher-alg', 'cipher-mode', 'ivgen-alg', 'ivgen-hash-alg')])
        sizes.add(os.path.getsize(maker) if format_name == 'luks' else 0)
    assert len(sizes) == 1 and all(i == infos[0] for i in infos), (sizes, infos)


# Each cipher, mode and initialisation vector; --thorough tries all combinations.
CIPHERS = (('luks', 'aes-256', 'ctr', 'plain64'), ('luks', 'serpent-128', 'ecb', 'plain'), ('qcow2', 'serpent-256', 'xts', 'plain64'),
           ('luks', 'twofish-128', 'cbc', 'essiv:sm3'), ('luks', 'twofish-192', 'xts', 'plain'), ('luks', 'cast5-128', 'cbc', 'essiv:md5'),
           ('qcow2', 'cast5-128', 'ctr', 'plain64'))


def all_ciphers():
    # QEMU stops at a failed assertion when keys of 24 bytes leave the last sector of a key slot open.
    for algorithm in ('aes-128', 'aes-256', 'serpent-128', 'serpent-256', 'twofish-128', 'twofish-256', 'cast5-128'):
        for mode in ('ecb', 'cbc', 'xts', 'ctr'):
            for iv in ('plain', 'plain64', 'essiv:' + ('md5' if algorithm.endswith('128') else 'sha256')):
                if (algorithm, mode) != ('cast5-128', 'xts'):
                    for format_name in ('luks', 'qcow2'):
                        yield format_name, algorithm, mode, iv


def ciphers():
    for case in all_ciphers() if '--thorough' in sys.argv else CIPHERS:
        cipher(*case)
    for hash_name in ('md5', 'sm3'):
        options = 'key-secret=a,iter-time=10,hash-alg=' + hash_name
        for maker, (img, _) in MODERN.items():
            run(*img, 'create', '-q', *SECRETS, '-f', 'luks', '-o', options, maker, '1M')
            for _, reader in MODERN.values():
                run(*reader, *SECRETS, '--image-opts', 'driver=luks,key-secret=a,file.filename=' + maker, '-c', 'read 0 4k')
    for options in ('cipher-alg=cast5-128,cipher-mode=xts', 'cipher-alg=cast5-128,ivgen-alg=essiv', 'cipher-alg=des',
                    'cipher-alg=sm4', 'cipher-alg=aes', 'cipher-mode=gcm', 'ivgen-alg=null', 'hash-alg=crc',
                    'cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha512'):
        assert 'nsupported' in run(IMG, 'create', '-q', *SECRETS, '-f', 'luks', '-o', 'key-secret=a,' + options, 'no', '1M',
                                   status=1), options


def detached():
    """The header in one file, the disk in another, which is nothing but the disk."""
    for maker, (img, _) in MODERN.items():
        text = run(*img, 'create', *SECRETS, '-f', 'luks', '-o', 'detached-header=on,key-secret=a,iter-time=10', 'header')
        assert 'size=-1' in text and 'detached-header=on' in text, text
        assert os.path.getsize('header') == 2068480
        run(IMG, 'create', '-q', '-f', 'raw', 'disk', '2M')
        source = 'driver=luks,key-secret=%s,header.filename=header,file.filename=disk'
        for _, writer in MODERN.values():
            run(*writer, *SECRETS, '--image-opts', source % 'a', '-c', 'write -P 5 0 2M')
            for _, reader in MODERN.values():
                assert 'failed' not in run(*reader, *SECRETS, '--image-opts', source % 'a', '-c', 'read -P 5 0 2M')
        infos = []
        for tool, _ in MODERN.values():
            info = json.loads(run(*tool, 'info', '--output=json', *SECRETS, '--image-opts', source % 'a'))
            data = info['format-specific']['data']
            assert data['detached-header'] and data['payload-offset'] == 0 and info['virtual-size'] == 2 << 20
            name = json.loads(info['filename'][5:])
            infos.append((data, name, info['actual-size']))
        assert all(i == infos[0] for i in infos), infos
        run(*MODERN[maker][0], 'resize', '-q', *SECRETS, '--image-opts', source % 'a', '3M')
        assert os.path.getsize('disk') == 3 << 20 and os.path.getsize('header') == 2068480
        run(IMG, 'amend', *SECRETS, '-o', 'state=active,new-secret=b,iter-time=10', '--image-opts', source % 'a')
        for _, reader in MODERN.values():
            assert 'failed' not in run(*reader, *SECRETS, '--image-opts', source % 'b', '-c', 'read -P 5 0 2M')
        run(IMG, 'info', *SECRETS, 'json:' + json.dumps(infos[0][1]))
        for tool, _ in MODERN.values():
            # Alone it is no disk: what is written would lie over its keys.
            assert 'overlapping with the header' in run(*tool, 'info', 'header', status=1)
        answer = run(IMG, 'measure', *SECRETS, '-O', 'luks', '-o', 'detached-header=on,key-secret=a', '--size', '3M')
        assert 'required size: 2068480' in answer, answer


def hostile():
    """Key material that the header puts over other things is not written."""
    image = Image('luks', 'kaso')
    for value in (0, 8, 0x7fffffff):
        with open(image.name, 'r+b') as file:
            file.seek(208 + 48 * 3 + 40)
            file.write(struct.pack('>I', value))
        with open(image.name, 'rb') as file:
            before = file.read()
        assert 'damaged' in image.amend('kaso', 'state=active,new-secret=b,keyslot=3', status=1)
        with open(image.name, 'rb') as file:
            assert file.read() == before


def wrapped_secrets():
    """Passphrases that are encrypted with a key from a file, as management programs hand them over."""
    key, iv = bytes(range(200, 232)), bytes(range(16))
    with open('master', 'wb') as file:
        file.write(key[:7] + b'\0' + key[8:])
    key = key[:7] + b'\0' + key[8:]
    sealed = subprocess.run(['openssl', 'enc', '-aes-256-cbc', '-K', key.hex(), '-iv', iv.hex(), '-base64'],
                            input=b'a' * 100, stdout=subprocess.PIPE, check=True).stdout
    with open('sealed', 'wb') as file:
        file.write(sealed)
    text = base64.b64encode(iv).decode()
    master = ['--object', 'secret,id=m,format=raw,file=master']

    def secret(**more):
        options = {'id': 's', 'keyid': 'm', 'iv': text, 'format': 'base64', **more}
        return ['--object', 'secret,' + ','.join('%s=%s' % item for item in options.items() if item[1])]

    create = ['create', '-q', '-f', 'luks', '-o', 'key-secret=s,iter-time=10', 'wrapped', '1M']
    opened = ['--image-opts', 'driver=luks,key-secret=s,file.filename=wrapped']
    for given in ({'file': 'sealed'}, {'data': sealed.decode().replace('\n', '')}):
        run(IMG, *create[:2], *master, *secret(**given), *create[2:])
        for tools, _ in TOOLS.values():
            run(*tools, 'info', *master, *secret(file='sealed' if tools == [IMG] else None,
                                                 data=None if tools == [IMG] else sealed.decode().replace('\n', '')),
                *opened)
        run(IMG, 'compare', '--object', 'secret,id=s,data=' + 'a' * 100, *opened[:1], opened[1], opened[1])
    for more, words in (({'data': 'AAAA'}, 'multiple of 16'), ({'data': '!'}, 'base64'),
                        ({'file': 'sealed', 'iv': 'AAAA'}, 'iv 3'), ({'file': 'sealed', 'iv': None}, 'iv='),
                        ({'file': 'sealed', 'keyid': 'x'}, "'x'")):
        assert words in run(IMG, 'info', *master, *secret(**more), *opened, status=1), words
    assert 'zero byte' in run(IMG, 'info', '--object', 'secret,id=s,file=master', *opened, status=1)


def main():
    with tempfile.TemporaryDirectory(prefix='kaso-keys-') as folder:
        os.chdir(folder)
        for format_name in ('luks', 'qcow2'):
            turns(format_name, sorted(TOOLS)[-1])
            refusals(format_name)
        measured()
        ciphers()
        detached()
        hostile()
        wrapped_secrets()
        run(IMG, 'create', '-q', '-f', 'qcow2', 'plain.qcow2', '1M')
        assert 'not encrypted' in run(IMG, 'amend', '-o', 'encrypt.state=active,encrypt.new-secret=a',
                                      *SECRETS, 'plain.qcow2', status=1)
        os.chdir('/')


main()
