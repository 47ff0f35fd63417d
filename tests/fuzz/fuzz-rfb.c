/* SPDX-License-Identifier: MIT */
/*
 * What a VNC client sends, from its first byte on: the first byte of the input says by which transport and whether there is a
 * password or SASL, the rest is what comes from the socket. The screen is a text console.
 */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "main/setup.h"
#include "tests/fuzz/fuzz.h"
#include "ui/vnc/sasl.h"
#include "ui/vnc/vnc.h"

enum {
    WITH_PASSWORD = 4,
    WITH_UPGRADE = 8,
    TRUSTED = 16,
    WITH_SASL = 32,
    ROUNDS = 400,
    ANSWER_MAX = 64 << 20
};

static const char upgrade[] = "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n";

static Setup *new_setup(void)
{
    static const char *const arguments[] = { "kaso",     "-M",   "none",    "-nodefaults", "-S",
                                             "-display", "none", "-serial", "vc:40Cx12C",  NULL };
    Setup *setup = setup_new("kaso-system-aarch64");
    GError *error = NULL;

    setup->target = target_find("aarch64");
    if (!setup_parse(setup, G_N_ELEMENTS(arguments) - 1, (char **)arguments, &error) ||
        !setup_choose(setup, &error) || !setup_build(setup, &error)) {
        g_error("%s", error->message);
    }
    return setup;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_enter_folder();
    return 0;
}

/* Reads what is there, and forgets it. */
static size_t drain(int fd)
{
    static uint8_t bytes[65536];
    ssize_t got, all = 0;

    while ((got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        all += got;
    }
    return (size_t)all;
}

static void talk(int fd, const uint8_t *data, size_t size)
{
    size_t sent = 0, answers = 0;

    for (unsigned i = 0; i < ROUNDS && answers < ANSWER_MAX; i++) {
        ssize_t n =
            sent < size ? send(fd, data + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

        sent += n > 0 ? (size_t)n : 0;
        if (!g_main_context_iteration(NULL, false) && sent == size) {
            break;
        }
        answers += drain(fd);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Setup *setup;
    VncServer *server;
    int ends[2];

    if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
        return 0;
    }
    setup = new_setup();
    machine_lock(setup->machine);
    machine_reset(setup->machine);
    server = vnc_server_new(setup->machine, "fuzz", NULL, NULL);
    g_assert_nonnull(server);
    server->password_wanted = data[0] & WITH_PASSWORD;
    server->sasl = data[0] & WITH_SASL && vnc_sasl_init(NULL);
    server->power_control = true;
    server->lossy = true;
    vnc_server_set_password(server, "secret");
    vnc_server_select(server, seat_console(setup->machine, 0));
    vnc_client_new(server, ends[0], (VncTransport)((data[0] & 3) % 3), data[0] & TRUSTED);
    machine_unlock(setup->machine);
    if (data[0] & WITH_UPGRADE) {
        talk(ends[1], (const uint8_t *)upgrade, sizeof(upgrade) - 1);
    }
    talk(ends[1], data + 1, size - 1);
    vnc_server_free(server);
    close(ends[1]);
    process_end_signals(setup); /* a thread: thousands of them would be left */
    machine_free(setup->machine);
    setup_free(setup);
    return 0;
}
