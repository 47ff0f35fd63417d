/* SPDX-License-Identifier: MIT */
/* Random instructions with what they start from and leave: how they are made, and how two outcomes are compared. */
#ifndef TESTS_ISA_SNIPPET_X86_H
#define TESTS_ISA_SNIPPET_X86_H

#include <glib.h>

#include "target/i386/decode.h"
#include "tests/isa/host-x86.h"

/* Where each snippet has its window of pages: none, writable, none, read-only. */
#define WINDOW UINT32_C(0x2c00000)
enum { PAGE = 4096, WINDOW_PAGES = 4, WRITABLE = 1, READ_ONLY = 3 };
enum { DATA_BYTES = 4096, MAX_INSNS = 6 };
enum { BASE = X86_RBX }; /* of all memory operands */

/* As FNSAVE stores it with 32-bit operands. */
typedef struct __attribute__((packed)) {
    uint32_t control, status, tags, fip, fcs, fdp, fds;
    struct __attribute__((packed)) {
        uint64_t significand;
        uint16_t sign_exponent;
    } st[8];
} X87Image;

/* What a snippet starts with and leaves; at absolute addresses below 2 GiB. */
typedef struct {
    uint64_t gpr[16];
    uint64_t flags;
    uint64_t host_rsp;
    uint64_t vector;     /* of an exception, plus 1; 0: none */
    uint64_t rip;        /* of the instruction that raised it */
    uint64_t error, cr2; /* of a page fault */
    uint32_t mxcsr;
    uint32_t pad[3];
    X87Image x87;
    uint8_t pad2[4];
    uint8_t vectors[16][32];
    uint8_t data[DATA_BYTES];
} State;

typedef struct {
    State before, after;
    uint8_t insns[MAX_INSNS * 22];
    unsigned size, count;
    struct {
        unsigned offset;
        X86Insn decoded;
    } insn[MAX_INSNS];
    uint8_t pages[2][PAGE],
        written[PAGE];     /* what the window's pages had, and what the first has then */
    uint64_t at, guest_at; /* addresses of insns: on the host, on the machine */
    uint64_t undefined; /* flags that some instruction leaves undefined, and no later one defines */
} Snippet;

/* What snippets are made from, and who says what is right. */
typedef struct {
    GRand *rng;
    X86Cpu *features; /* of the machine */
    const char *only; /* this instruction; NULL: any */
    bool around_pages;
    bool with_sse, with_avx; /* vectors and x87 are loaded and compared */
    X86Host judge;
} SnippetSource;
extern SnippetSource snippet_source;

uint32_t snippet_below(uint32_t n);
uint64_t snippet_random64(void);
uint8_t *snippet_put(uint8_t *p, uint64_t value, unsigned bytes);
/* Whether there is an instruction that snippets may have. */
bool snippet_is_there(void);
void snippet_add_insn(Snippet *s);
void snippet_randomize(State *s);

/* The host is no judge of what the snippet has done there. */
bool snippet_host_differs(const Snippet *s);
/* Makes of what the host has left what a processor of the machine's kind would have. */
void snippet_even_out(Snippet *s, const State *got);
bool snippet_pages_differ(const Snippet *s, const State *got, const uint8_t *window);
/* Also prints what is not the same. */
bool snippet_differs(const Snippet *s, const State *got);
void snippet_print(const Snippet *s);

#endif
