# SPDX-License-Identifier: MIT
"""The client's side of SASL for tests: the library that servers use, by ctypes."""

import ctypes
import ctypes.util
import os
import shutil
import subprocess

OK, CONTINUE = 0, 1
LIST_END, GETREALM, USER, AUTHNAME, PASS = 0, 0x4008, 0x4001, 0x4002, 0x4004
SSF, SEC_PROPS = 1, 101


class Secret(ctypes.Structure):
    _fields_ = [("size", ctypes.c_ulong), ("data", ctypes.c_char * 64)]


class Callback(ctypes.Structure):
    _fields_ = [("id", ctypes.c_ulong), ("function", ctypes.c_void_p), ("context", ctypes.c_void_p)]


class Properties(ctypes.Structure):
    _fields_ = [("least", ctypes.c_uint), ("most", ctypes.c_uint), ("buffer", ctypes.c_uint), ("flags", ctypes.c_uint),
                ("names", ctypes.c_void_p), ("values", ctypes.c_void_p)]


def missing():
    """What a test of SASL lacks here, or None."""
    for program in ("saslpasswd2",):
        if not shutil.which(program):
            return program
    return None if ctypes.util.find_library("sasl2") else "libsasl2"


def make_accounts(folder, mechanisms, **passwords):
    """A folder for SASL_CONF_PATH, whose server knows these users."""
    database = os.path.join(folder, "accounts")
    for user, password in passwords.items():
        subprocess.run(["saslpasswd2", "-f", database, "-a", "qemu", "-c", "-p", user], input=password.encode(), check=True)
    with open(os.path.join(folder, "qemu.conf"), "w", encoding="ascii") as file:
        file.write("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: %s\nmech_list: %s\n" % (database, mechanisms))


class Conversation:
    """As rfb.Client.converse wants it; with encrypt=True over a connection that nothing else keeps secret."""

    def __init__(self, user, password, encrypt=False):
        self.library = library = ctypes.CDLL(ctypes.util.find_library("sasl2"))
        assert library.sasl_client_init(None) == OK
        self.user, self.secret = user.encode(), Secret(len(password), password.encode())
        self.mechanism = None
        self.keep = [self.callback_user(), self.callback_secret()]
        pointers = [ctypes.cast(f, ctypes.c_void_p) for f in self.keep]
        self.callbacks = (Callback * 4)(Callback(USER, pointers[0], None), Callback(AUTHNAME, pointers[0], None),
                                        Callback(PASS, pointers[1], None), Callback(LIST_END, None, None))
        self.connection = ctypes.c_void_p()
        host = os.uname().nodename.encode()
        assert library.sasl_client_new(b"vnc", host, None, None, self.callbacks, 0, ctypes.byref(self.connection)) == OK
        self.strength = (56, 100000) if encrypt else (0, 0)
        properties = Properties(*self.strength, 8192, 0, None, None)
        assert library.sasl_setprop(self.connection, SEC_PROPS, ctypes.byref(properties)) == OK

    def callback_user(self):
        def give(_context, _id, result, size):
            result[0] = self.user
            if size:
                size[0] = len(self.user)
            return OK
        return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p),
                                ctypes.POINTER(ctypes.c_uint))(give)

    def callback_secret(self):
        def give(_connection, _context, _id, result):
            result[0] = ctypes.pointer(self.secret)
            return OK
        return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int,
                                ctypes.POINTER(ctypes.POINTER(Secret)))(give)

    def choose(self, offered):
        """The mechanism, of those that are offered, and what is said first (None: nothing)."""
        out, size, name = ctypes.POINTER(ctypes.c_char)(), ctypes.c_uint(), ctypes.c_char_p()
        result = self.library.sasl_client_start(self.connection, offered.encode(), None, ctypes.byref(out), ctypes.byref(size),
                                                ctypes.byref(name))
        if result not in (OK, CONTINUE):
            raise PermissionError("no mechanism of " + offered)
        return name.value.decode(), out[:size.value] if out else None

    def answer(self, text):
        out, size = ctypes.POINTER(ctypes.c_char)(), ctypes.c_uint()
        result = self.library.sasl_client_step(self.connection, text, len(text), None, ctypes.byref(out), ctypes.byref(size))
        if result not in (OK, CONTINUE):
            raise PermissionError("SASL says %d" % result)
        return out[:size.value] if out else None

    def wrap(self, peer):
        """The connection after the conversation."""
        return Wrapped(self, peer) if self.strength[0] else peer


class Wrapped:
    """A socket whose bytes the mechanism encrypts."""

    def __init__(self, conversation, peer):
        self.conversation, self.peer = conversation, peer

    def pass_through(self, function, data):
        out, size = ctypes.POINTER(ctypes.c_char)(), ctypes.c_uint()
        result = function(self.conversation.connection, data, len(data), ctypes.byref(out), ctypes.byref(size))
        assert result == OK, result
        return out[:size.value]

    def recv(self, size):
        while True:
            data = self.peer.recv(size)
            plain = self.pass_through(self.conversation.library.sasl_decode, data) if data else b""
            if plain or not data:
                return plain

    def sendall(self, data):
        for at in range(0, len(data), 4096):
            self.peer.sendall(self.pass_through(self.conversation.library.sasl_encode, data[at:at + 4096]))

    def settimeout(self, seconds):
        self.peer.settimeout(seconds)

    def close(self):
        self.peer.close()
