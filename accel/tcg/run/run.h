/* SPDX-License-Identifier: MIT */
/*
 * The translator's run time: per-machine and per-vCPU state that the files of this folder share.
 *
 * Locks: TcgRun.lock guards the code cache's structure (insertion, links, invalidation); lookups
 * are lock-free. Contexts and TLBs belong to their vCPU's thread; others post to its inbox.
 */
#ifndef ACCEL_TCG_RUN_RUN_H
#define ACCEL_TCG_RUN_RUN_H

#include <glib.h>
#include <inttypes.h>
#include <stdatomic.h>

#include "accel/accel.h"
#include "accel/tcg/host/host.h"
#include "accel/tcg/ir/interpret.h"
#include "accel/tcg/ir/services.h"
#include "accel/tcg/ir/target.h"
#include "machine/coverage.h"
#include "machine/debug.h"

enum {
    TCG_MAX_INSNS = 96,
    TCG_MAX_LINKS = 64,
    TCG_UNGROUPED_UNITS = 256,
    TCG_CONTEXTS = 32,      /* per vCPU, least recently used is reused */
    TCG_CONTEXT_HASH_BITS = 10, /* so many that collisions, which cost a search, are rare */
    TCG_RICH_CONTEXTS = 12, /* of these, keep their tables however long ago they were used */
    TCG_WALK_BITS = 14,     /* second-level TLB */
    TCG_GENERATIONS = 256,
    TCG_INBOX = 32,
    TCG_UNIT_HASH_BITS = 18,
    TCG_UNIT_BLOCK_BITS = 6, /* of these, for units of one page */
    TCG_PAGE_HASH_BITS = 14,
    TCG_BREAK_WORDS = TCG_PAGE_SIZE / 64,
};

typedef struct TcgUnit TcgUnit;

/* The guest bytes of a unit in one page: [start, end) from host_page. Links the units of a page. */
typedef struct TcgSpan TcgSpan;
struct TcgSpan {
    uint8_t *host_page;
    uint16_t start, end;
    TcgUnit *unit;
    TcgSpan *page_next;
};

struct TcgUnit {
    /* What is looked at when a unit is looked up: a line of the host's cache. */
    _Alignas(64) uint8_t *entry;
    TcgSpan span;
    _Atomic(TcgUnit *) hash_next;
    uint64_t mode;
    uint64_t next_page;         /* IrUnit's */
    TcgSpan *next_span;         /* in the page behind, of an instruction that runs into it; else NULL */
    uint16_t insn_count, link_count;
    uint16_t covered;           /* instructions that were noted when it was made: cover.c */
    bool dead;
    uint64_t checksum;          /* of the guest bytes */
    uint8_t *body;              /* HostCode's */
    uint32_t code_size;
    TcgLink *incoming;          /* links that jump here */
    IrUnit *ir;                 /* interpreter only: trimmed copy */
    TcgLink links[];
};

/*
 * Second-level TLB: answers of table walks, also for devices, and where the page's bytes are. An entry
 * is void when its generation is not its key's any more, or for global mappings the vCPU's.
 */
typedef struct {
    _Alignas(64) uint64_t key;  /* context key, without key_global_mask bits for global mappings */
    uint64_t page;              /* guest virtual */
    uint64_t generation;
    uint8_t *host;              /* NULL: neither RAM nor ROM that is read directly */
    TcgMapping mapping;         /* size_bits 0: unused */
    bool writable;              /* stores reach host without more ado */
    bool at_once;               /* stores reach a device that may interrupt at once */
} TcgWalkEntry;

/* PROTECT: no more write tags for the `arg` bytes of RAM from offset `guest_virt` on. */
typedef enum { TCG_REQUEST_PAGE, TCG_REQUEST_CONTEXTS, TCG_REQUEST_PROTECT } TcgRequestKind;
typedef struct {
    TcgRequestKind kind;
    uint64_t guest_virt;
    TcgContextMatch *match;
    uint64_t arg;
} TcgRequest;

/* Where a unit of TCG_MODE_UNGROUPED has been entered: as long as the pc's fetch entry and the mode are these, there. */
typedef struct {
    uint64_t pc, host_page, mode;
    void *code;                 /* NULL: none */
} TcgUngroupedUnit;

typedef struct TcgRun TcgRun;

typedef struct {
    Vcpu *vcpu;
    TcgState *env;
    TcgRun *run;
    const TcgTarget *target;
    TcgContext *contexts[TCG_CONTEXTS];
    unsigned context_count;
    TcgContext *context_hash[1 << TCG_CONTEXT_HASH_BITS];
    uint64_t use_clock;
    TcgWalkEntry *walk;         /* 1 << TCG_WALK_BITS, by walk_slot */
    uint64_t generations[TCG_GENERATIONS]; /* of walk entries, by context_generation */
    uint64_t global_generation;

    uint64_t atomic_address;    /* of the atomic op that works on a copy, and its IR_MEM flags */
    unsigned atomic_flags;

    enum { TCG_ALONE_NO, TCG_ALONE_WANTED, TCG_ALONE_RUNS } alone; /* the instruction at alone_pc: watch.c */
    uint64_t alone_pc;

    atomic_bool in_guest;       /* may be using TLB entries it read */
    GMutex inbox_lock;
    TcgRequest inbox[TCG_INBOX];
    unsigned inbox_count;
    bool inbox_overflow;        /* everything must go */
    atomic_bool inbox_waiting;  /* read without the lock */
    _Atomic uint32_t posted, processed; /* requests; processed is a futex word */
    bool float_traps;           /* exceptions of the host are the guest's: float-traps.c */
    unsigned float_trapped;     /* FLOAT_* that had occurred when one was raised; else 0 */
    uint64_t one_mode;          /* of the unit with TCG_MODE_ONE or _STEP that runs; else 0 */
    uint64_t step_mode;         /* TCG_MODE_STEP when the next instruction is executed on its own; else 0 */
    bool ungrouped;             /* the unit to come next is one of TCG_MODE_UNGROUPED */
    TcgUngroupedUnit ungrouped_units[TCG_UNGROUPED_UNITS]; /* the last ones, by pc */
    bool watch_wanted;          /* since it has a watched access */
    bool abandoned;             /* the instruction has been left, for the debugger, before it did anything */
    jmp_buf *interpreter_unwind; /* what TcgState.unwind is within the interpreter */
    bool broadcast_pending;     /* this vCPU posted requests and has not waited */
    CoveragePage *cover_page;   /* of cover_virt, the last that was noted in; NULL: none */
    uint64_t cover_virt;
    uint32_t cover_repeats;     /* calls in vain since the last sweep */

    uint8_t *copy;              /* 2 pages for an instruction in a device's memory: device-code.c; NULL: not needed yet */
    unsigned copy_end;          /* page offset up to which the instruction at the pc has been read into it */
    TcgFetchEntry copy_fetch;   /* of the copy, for the page that it is of */

    uint64_t walks, walk_hits, exits, interrupts_polled, context_switches, invalidated_pages,
        invalidated_contexts;
} TcgVcpu;

struct TcgRun {
    Machine *machine;
    const TcgTarget *target;
    /* options */
    bool interp, verify, perfmap_wanted, one_insn;
    bool limited;               /* -icount: units count, and none is entered beyond insn_limit */
    int thread;
    uint64_t cache_mib;

    GMutex lock;
    HostRuntime runtime;
    HostBackend *backend;
    HostThunks thunks;
    uint8_t *code, *code_start, *code_next; /* what usually runs, up to cold_start */
    uint8_t *cold_start, *cold_next;        /* the slow paths of units */
    bool huge_pages;                        /* have been asked for */
    uint8_t *records, *code_end;            /* lowest record of a unit, between cold_next and code_end */
    _Atomic(TcgUnit *) *hash;
    TcgSpan **pages;
    _Atomic uint64_t *granules; /* by RAM page: parts of 64 bytes that units were made of; coherent_code only */
    size_t granules_size;
    FILE *perfmap;              /* or NULL */
    IrUnit *scratch;            /* the unit under construction */
    GPtrArray *vcpus;           /* TcgVcpu * */
    /* What debuggers want: a bit for each page offset of breaks, the same of the unit that is made, and units with TCG_MODE_BREAK. */
    uint64_t breaks[TCG_BREAK_WORDS], unit_breaks[TCG_BREAK_WORDS];
    GPtrArray *break_units;
    bool breaking, watching, covering;
    GMutex cover_lock;          /* guards cover_pages */
    GHashTable *cover_pages;    /* host page -> its guest virtual address, SHARED of cover.c: there are several */
    _Atomic bool cover_news;    /* something has been noted since the last sweep */
    _Atomic uint32_t cover_sweep_at; /* calls in vain of a vCPU until the next */
    _Atomic uint64_t translated, translated_insns, translated_us, guest_bytes, flushes, linked,
        invalidated_units, broadcasts, code_stores, replays;
};

static inline TcgVcpu *tcg_vcpu(TcgState *env)
{
    return env->run;
}

/* cache.c: translated code. */
bool cache_init(TcgRun *run, GError **error);
void cache_free(TcgRun *run);
/* Bytes that there are at least for each: code that usually runs, and slow paths with the unit's record. */
size_t cache_room(const TcgRun *run);
/* What was emitted at code_next and cold_next stays. */
void cache_keep(TcgRun *run, size_t code_size, size_t cold_size);
/* Zeroed memory for a unit's record, which lasts until the cache is flushed; size < cache_room. */
void *cache_take(TcgRun *run, size_t size);
/*
 * The unit for code at host_page + offset; translates when needed. next_page: TcgFetchEntry.host_page of the page
 * behind, or 0 when it has not been looked for. NULL with *needs: there must be code up to this page offset. NULL otherwise: the cache was
 * full and has been flushed, or the page had to be watched, and other vCPUs' requests carried out: the caller
 * starts again from the pc.
 */
TcgUnit *cache_find(TcgVcpu *tv, uint64_t host_page, unsigned offset, uint64_t mode,
                    uint64_t next_page, unsigned *needs);
/* Joins an exit to a unit, if both are still alive. */
void cache_link(TcgRun *run, TcgLink *link, TcgUnit *to, uint64_t host_page);
/* Drops all units. All vCPUs are parked. */
void cache_empty(TcgRun *run);
/* The spans of a page, among others; with the lock. */
const TcgSpan *cache_spans(TcgRun *run, const uint8_t *host_page);
void cache_invalidate_range(TcgRun *run, const uint8_t *host, uint64_t size);
/* Drops units whose guest bytes have changed. */
void cache_verify_all(TcgRun *run);
uint64_t cache_checksum(const TcgUnit *unit);

/* Drops units with TCG_MODE_BREAK. All vCPUs are parked. */
void cache_forget_breaks(TcgRun *run);
/* Drops those of them in which more has been covered since they were made; returns how many are left. */
unsigned cache_forget_covered(TcgRun *run);

/* What the low bits of TcgFetchEntry.host_page say of the page. */
enum { TCG_FETCH_GUARDED = 1, TCG_FETCH_BREAKS = 2, TCG_FETCH_FLAGS = 3 };

/* The host address of a page whose fetch entry holds host_page. */
static inline uint8_t *cache_page(uint64_t host_page)
{
    return (uint8_t *)(uintptr_t)(host_page & ~(uint64_t)TCG_FETCH_FLAGS);
}

/* translate.c: one unit, from guest bytes to code. run->lock held. NULL: the cache is full, or as cache_find. */
TcgUnit *translate_unit(TcgVcpu *tv, uint8_t *host_page, unsigned offset, uint64_t mode,
                        uint64_t next_page, unsigned *needs);

/* dispatch.c: which code runs next. */
/* After a unit with TCG_MODE_ONE or _STEP has been left, with the pc set. false: none was. */
bool dispatch_insn_done(TcgVcpu *tv);
/* A unit is entered: notes it when it is one behind which the dispatcher is wanted. */
void dispatch_note_single(TcgVcpu *tv, const TcgUnit *unit);
TcgUnit *dispatch_unit(TcgVcpu *tv);
void *dispatch_next(TcgState *env);
void *dispatch_follow_link(TcgState *env, TcgLink *link);
void *dispatch_indirect(TcgState *env, uint64_t guest_virt, unsigned jump_class, int64_t origin);
void *dispatch_ungrouped(TcgState *env);

/* context.c */
void context_init(TcgVcpu *tv);
void context_free(TcgVcpu *tv);
void context_process_inbox(TcgVcpu *tv);
void context_post_all(TcgRun *run, const TcgRequest *request, TcgVcpu *except);
void context_broadcast(TcgVcpu *tv, const TcgRequest *request);
void context_flush_all(TcgVcpu *tv);
/* Empties jump caches and return stacks: of all contexts, or of one. */
void context_forget_code(TcgVcpu *tv);
void context_clear_jumps(TcgVcpu *tv, TcgContext *context);
/* Those to the page of an address. */
void context_drop_jumps(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt);
void context_clear_returns(TcgContext *context);
/* table: tcg_jump_table. */
TcgJumpEntry *context_jump(TcgVcpu *tv, TcgContext *context, uint64_t pc, unsigned table);
void context_set_jump(TcgVcpu *tv, TcgContext *context, uint64_t pc, unsigned table, void *code);

/* tlb.c: the tables of contexts and the second-level TLB. */
/* Zeroed memory for sparse tables; NULL: there is none. */
void *tlb_map(size_t size);
void tlb_unmap(void *memory, size_t size);
void tlb_init(TcgVcpu *tv);
void tlb_free(TcgVcpu *tv);
void tlb_clear(TcgContext *context);
/* Drops what is not global. false: everything has been dropped. */
bool tlb_keep_global(TcgContext *context);
/* The same, and the memory goes back to the host. */
void tlb_release(TcgContext *context);
/* Forgets walks: of one context key, or all. */
void tlb_forget_key(TcgVcpu *tv, uint64_t key);
void tlb_forget_all(TcgVcpu *tv);
/* Drops the mapping of a page from a context. matches: not only when it is global. */
void tlb_drop_page(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt, bool matches);
void tlb_drop_walk(TcgVcpu *tv, uint64_t guest_virt);
/*
 * The mapping of a page for an access, from the second-level TLB or the guest's tables; NULL: a fault,
 * which the target knows. What must not be kept is in *uncached.
 */
const TcgWalkEntry *tlb_walk(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt, unsigned size,
                             TcgAccess access, unsigned flags, TcgWalkEntry *uncached);
/* The same, when it needs no walk; else NULL, without a fault. */
const TcgWalkEntry *tlb_known_walk(TcgVcpu *tv, const TcgContext *context, uint64_t guest_virt,
                                   TcgAccess access);
/* Puts the page into the context's tables. write: for a store, too. */
void tlb_fill(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt, const TcgWalkEntry *walk,
              bool write);
/* Write tags of RAM pages go. */
void tlb_drop_writes(TcgVcpu *tv, uint64_t ram_offset, uint64_t size);
TcgFetchEntry *tlb_fill_fetch(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt, const TcgWalkEntry *walk);
/* The value of host_page for a page of code. */
uint64_t tlb_fetch_value(TcgVcpu *tv, uint64_t guest_virt, const TcgMapping *mapping, const uint8_t *host_page);
/* The RAM or ROM that a whole guest page is, or NULL. */
uint8_t *tlb_host_page(TcgVcpu *tv, uint64_t guest_phys, bool *writable);
/* Whether two addresses lie in one block of 1 << size_bits bytes; the ignored top byte does not count. */
static inline bool tlb_same_block(uint64_t a, uint64_t b, unsigned size_bits)
{
    return ((a ^ b) << 8) >> 8 >> size_bits == 0;
}
static inline TcgTlbEntry *tlb_entry(TcgContext *context, uint64_t guest_virt)
{
    return &context->tlb[(guest_virt >> TCG_PAGE_BITS) & ((1u << TCG_TLB_BITS) - 1)];
}
static inline TcgFetchEntry *tlb_fetch_entry(TcgContext *context, uint64_t guest_virt)
{
    return &context->fetch[(guest_virt >> TCG_PAGE_BITS) & ((1u << TCG_FETCH_BITS) - 1)];
}

/* watch.c: watched pages, and code that stores change (all true or nothing without coherent_code). */
void watch_init(TcgRun *run);
void watch_free(TcgRun *run);
/* Before code of a page is translated, without the lock. false: other vCPUs were waited for, look again. */
bool watch_code_page(TcgVcpu *tv, const uint8_t *host_page);
/* Around the translation of a unit (NULL: none was made), with the lock. false: the page is not watched any more. */
bool watch_begin(TcgRun *run, const uint8_t *host_page, uint64_t *granules);
void watch_end(TcgRun *run, const uint8_t *host_page, uint64_t granules, const TcgUnit *unit);
/* Units of a page have died; with the lock. */
void watch_update(TcgRun *run, const uint8_t *host_page);
bool watch_is_code(TcgVcpu *tv, const uint8_t *host);
/* A store of the running instruction, within a page. Unwinds when the instruction must be done alone. */
void watch_before_store(TcgVcpu *tv, const uint8_t *host, unsigned size);

/*
 * Before the running instruction may interrupt: it is one that is done on its own, so that what it raises comes right behind it,
 * whatever else would have been in its unit. Unwinds when it must be done again like that.
 */
void watch_before_interrupt(TcgVcpu *tv);
/* The same, before it reaches a device, with -icount. */
void watch_before_device(TcgVcpu *tv);

/* memory.c: slow paths. */
void memory_set_runtime(HostRuntime *runtime, const TcgTarget *target);
/*
 * The fetch entry of the page of an instruction, or of the part of one, at guest_virt; NULL: a fault was taken. Where the
 * page is a device's, it is that of the copy.
 */
TcgFetchEntry *memory_fetch_page(TcgVcpu *tv, uint64_t guest_virt);
/* The host bytes at a guest virtual address for reading, without faults; NULL: none. */
uint8_t *memory_peek(TcgVcpu *tv, uint64_t guest_virt);

/* device-code.c: instructions that lie in a device's memory, or run into it. */
void device_code_free(TcgVcpu *tv);
/* The copy, as one of the page at guest_virt. */
TcgFetchEntry *device_code_page(TcgVcpu *tv, uint64_t guest_virt, const TcgMapping *mapping);
static inline bool device_code_is(const TcgVcpu *tv, const TcgFetchEntry *fetch)
{
    return fetch == &tv->copy_fetch;
}
/* Reads the first bytes of the one at the pc, which device_code_page is for. false: a fault was taken. */
bool device_code_begin(TcgVcpu *tv);
/* Its unit, of what device_code_begin read and the rest. NULL: as cache_find, or a fault was taken. */
TcgUnit *device_code_unit(TcgVcpu *tv, uint64_t mode);

/* trap.c: what debuggers want trapped. */
/* While an exception is delivered, and outside of code, an access cannot be undone. */
bool trap_can_undo(const TcgVcpu *tv);
bool trap_changed(Machine *machine, GError **error);
/* Tells translators of breaks, when the unit's mode is for a page with any. */
void trap_prepare_unit(TcgRun *run, const uint8_t *host_page, IrUnit *unit);
/* Whether there are breaks in a page, and watched bytes. */
bool trap_page_breaks(TcgVcpu *tv, uint64_t guest_virt, uint64_t guest_phys, const uint8_t *host_page);
bool trap_page_watched(TcgVcpu *tv, uint64_t guest_virt, uint64_t guest_phys);
/* An access to a page with watched bytes. May unwind. */
void trap_access(TcgVcpu *tv, uint64_t guest_virt, uint64_t guest_phys, unsigned size,
                 TcgAccess access, unsigned flags);
/* An instruction that was executed on its own is done, and the pc that of the next. */
void trap_done(TcgVcpu *tv);
/* Code has been left, by unwinding or not. */
void trap_left(TcgVcpu *tv);
/* Before code is entered: the target's take_interrupt, unless steps are made without. */
void trap_take_interrupt(TcgVcpu *tv);

/* cover.c: which instructions have been executed. */
void cover_init(TcgRun *run);
void cover_free(TcgRun *run);
/* Coverage has begun or ended; vCPUs are parked. */
void cover_changed(TcgRun *run);
/* The page gets a fetch entry at a guest virtual address: whether its code is noted. */
bool cover_enters(TcgVcpu *tv, uint64_t guest_virt, const uint8_t *host_page);
/* Adds the page offsets where nothing has been noted yet; run->lock held. */
void cover_add_breaks(TcgRun *run, const uint8_t *host_page, uint64_t breaks[TCG_BREAK_WORDS]);
/* How many instructions of a unit have been noted: by now, and when it was made, which is just now. */
unsigned cover_count(TcgRun *run, const TcgSpan *span);
unsigned cover_count_made(const TcgRun *run, const TcgSpan *span);
/* The instruction at the pc is executed. */
void cover_note(TcgVcpu *tv);

/* describe.c */
void describe_run(Machine *machine, GString *out);
void describe_guest_code(TcgVcpu *tv, const TcgCode *code, uint64_t pc, const IrUnit *unit);
void describe_host_code(const HostCode *code, const uint8_t *start, const uint8_t *cold);

/* perfmap.c: names of translated code for perf, all of it nothing unless perfmap=on. */
bool perfmap_open(TcgRun *run, GError **error);
void perfmap_close(TcgRun *run);
void perfmap_add(TcgRun *run, const uint8_t *code, size_t size, const char *name);
/* A unit by the guest's address of its first instruction. */
void perfmap_add_unit(TcgRun *run, const HostCode *code, uint64_t pc);

#endif
