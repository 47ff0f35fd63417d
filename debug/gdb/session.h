/* SPDX-License-Identifier: MIT */
/* The gdb stub's state, for the files of debug/gdb/. All in the main loop with the machine lock, unless said otherwise. */
#ifndef DEBUG_GDB_SESSION_H
#define DEBUG_GDB_SESSION_H

#include "debug/gdb/gdb.h"
#include "machine/debug.h"

enum {
    GDB_PACKET_MAX = 0x20020,   /* bytes between $ and #, either way */
    GDB_PENDING_MAX = 4 << 20,  /* of output that nobody takes: then no more is read */
    GDB_POINTS_MAX = 4096,
};

/* Answers as errno has them. */
#define GDB_EINVAL "E22"
#define GDB_EFAULT "E14"

typedef enum { GDB_IDLE, GDB_PACKET, GDB_CHECKSUM_HIGH, GDB_CHECKSUM_LOW } GdbState;

/* A point that gdb has inserted: Z TYPE,ADDRESS,KIND. */
typedef struct {
    DebugPoint point;
    unsigned type;
} GdbPoint;

struct GdbStub {
    DebugClient client; /* first */
    Machine *machine;
    Chardev *chardev;
    GdbMonitor *monitor;

    GdbState state;
    GString *packet;    /* what comes in, with its escapes */
    uint8_t sum, sum_high;
    bool overlong;      /* the packet that comes in is dropped */
    GString *last;      /* what went out last, framed: for a repetition */
    GString *pending;   /* output that the chardev has not taken yet */
    GString *reply;     /* of the packet that is being handled */
    bool has_reply;

    bool connected, no_ack, multiprocess, swbreak, hwbreak;
    bool physical;      /* memory packets and points: Qqemu.PhyMemMode */
    bool waiting;       /* gdb waits for the stop reply of a packet that let the machine go */
    bool written;       /* memory has been changed since the machine stopped */
    unsigned vcpu;      /* index of the CPU that g, p, m … are about */
    unsigned resume_vcpu; /* of s and c with an address; UINT_MAX: any */
    unsigned next_thread; /* of qsThreadInfo */
    /* Range stepping, by vCPU: [start, end); 0, 0: none. */
    uint64_t (*ranges)[2];
    GPtrArray *points;  /* GdbPoint */
    char *description;  /* target.xml; NULL: not made yet */
};

/* packet.c: framing. */
void gdb_receive(GdbStub *stub, const uint8_t *data, size_t size);
void gdb_flush(GdbStub *stub);
/* Sends a packet; escapes what has to be. */
void gdb_send(GdbStub *stub, const char *data, size_t size);
/* The answer to the packet that is being handled. An empty one says that the packet is not known. */
void gdb_reply(GdbStub *stub, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* commands.c: what packets mean. The text ends with a NUL, and may hold others (size). */
void gdb_handle(GdbStub *stub, const char *packet, size_t size);
/* A hexadecimal number; moves *text behind it. */
bool gdb_number(const char **text, uint64_t *value);
/* Takes one character; false when another is there. */
bool gdb_take(const char **text, char c);
/* A thread-id. *index: of the vCPU, or UINT_MAX for any or all. false: it is malformed, or there is no such CPU. */
bool gdb_thread(GdbStub *stub, const char **text, unsigned *index);
char *gdb_thread_name(const GdbStub *stub, unsigned vcpu);
Vcpu *gdb_vcpu(const GdbStub *stub);
/* Around what looks at CPUs or memory: the machine may run, when something else than gdb has started it. */
void gdb_begin(GdbStub *stub);
void gdb_end(GdbStub *stub);
/* Bytes of an even number of digits; false: they are not. */
bool gdb_from_hex(const char *text, size_t digits, uint8_t *bytes);
void gdb_append_hex(GString *out, const uint8_t *bytes, size_t size);

typedef void GdbHandler(GdbStub *stub, const char *arguments, size_t size);
/* registers.c */
GdbHandler gdb_read_registers, gdb_write_registers, gdb_read_register, gdb_write_register;
/* memory.c */
GdbHandler gdb_read_memory, gdb_write_memory, gdb_write_binary;
/* points.c */
GdbHandler gdb_insert_point, gdb_remove_point;
void gdb_remove_points(GdbStub *stub);
/* resume.c */
GdbHandler gdb_continue, gdb_step, gdb_continue_signal, gdb_step_signal, gdb_vcont;
void gdb_resume(GdbStub *stub);
/* The stop reply, when gdb waits for one. */
void gdb_tell_stop(GdbStub *stub, const DebugStop *stop);
void gdb_append_stop(GdbStub *stub, GString *out, const DebugStop *stop);
/* query.c */
GdbHandler gdb_query, gdb_set;
/* describe.c: target.xml of a CPU; caller frees. */
char *gdb_describe(Vcpu *vcpu);

#endif
