/* SPDX-License-Identifier: MIT */
/* The requests of the protocol. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "accel/qtest/private.h"
#include "base/bits.h"
#include "base/hex.h"

enum { BLOCK_MOST = 16 << 20, SLICE_NS = 1000 * 1000 * 1000 };

typedef struct {
    const char *name;
    unsigned least, most; /* words after the name */
    void (*run)(Qtest *qtest, const char *const *words);
} Command;

bool qtest_number(Qtest *qtest, const char *word, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(word, &end, 0);
    if (end == word || *end || errno) {
        qtest_send(qtest, "FAIL '%s' is no number", word);
        return false;
    }
    return true;
}

/* The last letter of a name: b w l q. */
static unsigned size_of(const char *name)
{
    const char *letters = "bwlq";

    return 1u << (strchr(letters, name[strlen(name) - 1]) - letters);
}

static AddressSpace *space_of(Qtest *qtest, bool ports)
{
    return ports ? &qtest->machine->io_space : &qtest->machine->memory_space;
}

static MemoryAttributes attributes(const Qtest *qtest)
{
    return (MemoryAttributes){ .vcpu = qtest->machine->vcpus->len ? 0 : -1 };
}

/* What is not there reads as zero and takes writes, as for a CPU without external aborts. */
static void read_one(Qtest *qtest, const char *const *words)
{
    bool port = words[0][0] == 'i';
    uint64_t address, value = 0;

    if (!qtest_number(qtest, words[1], &address)) {
        return;
    }
    address_space_read(space_of(qtest, port), port ? address & UINT16_MAX : address, &value,
                       size_of(words[0]), attributes(qtest));
    qtest_send(qtest, port ? "OK 0x%04" PRIx64 : "OK 0x%016" PRIx64, value);
}

static void write_one(Qtest *qtest, const char *const *words)
{
    bool port = words[0][0] == 'o';
    uint64_t address, value;

    if (qtest_number(qtest, words[1], &address) && qtest_number(qtest, words[2], &value)) {
        address_space_write(space_of(qtest, port), port ? address & UINT16_MAX : address, value,
                            size_of(words[0]), attributes(qtest));
        qtest_send(qtest, "OK");
    }
}

/* Address and size of a block; false: the peer has been told. */
static bool block_range(Qtest *qtest, const char *const *words, uint64_t *address, uint64_t *size)
{
    if (!qtest_number(qtest, words[1], address) || !qtest_number(qtest, words[2], size)) {
        return false;
    }
    if (*size > BLOCK_MOST) {
        qtest_send(qtest, "FAIL %" PRIu64 " bytes are more than %d MiB", *size, BLOCK_MOST >> 20);
        return false;
    }
    return true;
}

static uint8_t *read_block(Qtest *qtest, uint64_t address, uint64_t size)
{
    uint8_t *data = g_malloc0(size + 1);

    address_space_read_bytes(space_of(qtest, false), address, data, size, attributes(qtest));
    return data;
}

static void write_block(Qtest *qtest, uint64_t address, const uint8_t *data, uint64_t size)
{
    address_space_write_bytes(space_of(qtest, false), address, data, size, attributes(qtest));
    qtest_send(qtest, "OK");
}

static void read_hex(Qtest *qtest, const char *const *words)
{
    g_autofree uint8_t *data = NULL;
    g_autofree char *text = NULL;
    uint64_t address, size;

    if (!block_range(qtest, words, &address, &size)) {
        return;
    }
    data = read_block(qtest, address, size);
    text = g_malloc(2 * size + 1);
    text[0] = '\0';
    for (uint64_t i = 0; i < size; i++) {
        static const char digits[] = "0123456789abcdef";

        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
        text[2 * i + 2] = '\0';
    }
    qtest_send(qtest, "OK 0x%s", text);
}

/* "0x" and two digits for each byte; what is left out at the end is zero. */
static void write_hex(Qtest *qtest, const char *const *words)
{
    g_autofree uint8_t *data = NULL;
    uint64_t address, size;
    size_t count, done;
    const char *text = words[3];

    if (!block_range(qtest, words, &address, &size)) {
        return;
    }
    if (strncmp(text, "0x", 2) != 0) {
        qtest_send(qtest, "FAIL data must begin with 0x");
        return;
    }
    data = g_malloc0(size + 1);
    text += 2;
    count = MIN(size, strlen(text) / 2);
    done = hex_decode(text, count, data);
    if (done != count) {
        qtest_send(qtest, "FAIL '%.2s' is no byte", text + 2 * done);
        return;
    }
    write_block(qtest, address, data, size);
}

static void read_base64(Qtest *qtest, const char *const *words)
{
    g_autofree uint8_t *data = NULL;
    g_autofree char *text = NULL;
    uint64_t address, size;

    if (block_range(qtest, words, &address, &size)) {
        data = read_block(qtest, address, size);
        text = g_base64_encode(data, size);
        qtest_send(qtest, "OK %s", text);
    }
}

static void write_base64(Qtest *qtest, const char *const *words)
{
    g_autofree uint8_t *data = NULL;
    uint64_t address, size;
    gsize got = 0;

    if (!block_range(qtest, words, &address, &size)) {
        return;
    }
    data = g_base64_decode(words[3], &got);
    write_block(qtest, address, data, MIN(got, size));
}

static void set_block(Qtest *qtest, const char *const *words)
{
    g_autofree uint8_t *data = NULL;
    uint64_t address, size, value;

    if (block_range(qtest, words, &address, &size) && qtest_number(qtest, words[3], &value)) {
        data = g_malloc(size + 1);
        memset(data, (int)value, size);
        write_block(qtest, address, data, size);
    }
}

/* Centuries are passed in slices, as timers that tick in them take their time: an end does not wait for it. */
static void clock_to(Qtest *qtest, int64_t to_ns)
{
    Machine *machine = qtest->machine;

    if (!clock_is_manual(machine)) {
        qtest_send(qtest, "FAIL the clock is the guest's; use -accel qtest");
        return;
    }
    for (int64_t now = clock_now_ns(machine); now < to_ns && !machine_end_pending(machine);
         now = clock_now_ns(machine)) {
        clock_advance(machine, now + MIN(to_ns - now, SLICE_NS));
    }
    /* Time does not go back, and a test that thinks so is to hear of it. */
    qtest_send(qtest, clock_now_ns(machine) > to_ns ? "FAIL %" PRId64 : "OK %" PRId64,
               clock_now_ns(machine));
}

static void clock_step(Qtest *qtest, const char *const *words)
{
    int64_t now_ns = clock_now_ns(qtest->machine);
    int64_t deadline_ns = clock_next_deadline_ns(qtest->machine);
    uint64_t step_ns;

    if (!words[1]) {
        if (deadline_ns < 0) {
            qtest_send(qtest, "FAIL no timer is armed that the clock could be advanced to");
        } else {
            clock_to(qtest, MAX(now_ns, deadline_ns));
        }
    } else if (qtest_number(qtest, words[1], &step_ns)) {
        if ((int64_t)step_ns <= 0) {
            qtest_send(qtest, "FAIL could not advance time");
        } else {
            clock_to(qtest, now_ns + MIN((int64_t)step_ns, INT64_MAX - now_ns));
        }
    }
}

static void clock_set(Qtest *qtest, const char *const *words)
{
    uint64_t to_ns;

    if (qtest_number(qtest, words[1], &to_ns)) {
        clock_to(qtest, (int64_t)to_ns);
    }
}

static void endianness(Qtest *qtest, const char *const *words)
{
    qtest_send(qtest, "OK little");
}

/* Everything is in the program: whatever module is asked for is there already. */
static void module_load(Qtest *qtest, const char *const *words)
{
    qtest_send(qtest, "OK");
}

static const Command commands[] = {
    { "readb", 1, 1, read_one },
    { "readw", 1, 1, read_one },
    { "readl", 1, 1, read_one },
    { "readq", 1, 1, read_one },
    { "writeb", 2, 2, write_one },
    { "writew", 2, 2, write_one },
    { "writel", 2, 2, write_one },
    { "writeq", 2, 2, write_one },
    { "inb", 1, 1, read_one },
    { "inw", 1, 1, read_one },
    { "inl", 1, 1, read_one },
    { "outb", 2, 2, write_one },
    { "outw", 2, 2, write_one },
    { "outl", 2, 2, write_one },
    { "read", 2, 2, read_hex },
    { "write", 3, 3, write_hex },
    { "memread", 2, 2, read_hex },
    { "memwrite", 3, 3, write_hex },
    { "b64read", 2, 2, read_base64 },
    { "b64write", 3, 3, write_base64 },
    { "memset", 3, 3, set_block },
    { "irq_intercept_in", 1, 1, qtest_irq_intercept_in },
    { "irq_intercept_out", 1, 2, qtest_irq_intercept_out },
    { "set_irq_in", 4, 4, qtest_set_irq_in },
    { "clock_step", 0, 1, clock_step },
    { "clock_set", 1, 1, clock_set },
    { "endianness", 0, 0, endianness },
    { "module_load", 2, 2, module_load },
};

void qtest_run(Qtest *qtest, const char *const *words, unsigned count)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const Command *command = &commands[i];

        if (strcmp(command->name, words[0]) != 0) {
            continue;
        }
        if (count - 1 < command->least || count - 1 > command->most) {
            qtest_send(qtest, "FAIL %s takes %u to %u words, not %u", words[0], command->least,
                       command->most, count - 1);
        } else {
            command->run(qtest, words);
        }
        return;
    }
    qtest_send(qtest, "FAIL Unknown command '%s'", words[0]);
}
