/* SPDX-License-Identifier: MIT */
/*
 * Address-space contexts: one set of TLB, fetch table, jump cache and return stack per context key
 * (ASID × privilege) and vCPU, so that a switch of address space is a switch of a pointer.
 */
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"

enum { INFO_SIZE_MASK = 0x3f, INFO_GLOBAL = 1 << 6 };

static unsigned context_hash(uint64_t key)
{
    return (unsigned)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 58);
}

/* The guest may well jump to 1: an empty entry must not match, or must lead somewhere safe. */
static void clear_jump(TcgVcpu *tv, TcgContext *context, unsigned index)
{
    context->jump[index].pc =
        tcg_jump_empty(index & ((1u << TCG_JUMP_BITS) - 1), tv->target->jump_shift);
}

TcgJumpEntry *context_jump(TcgVcpu *tv, TcgContext *context, uint64_t pc, unsigned jump_class)
{
    return &context->jump[((size_t)jump_class << TCG_JUMP_BITS) +
                          tcg_jump_index(pc, tv->target->jump_shift)];
}

void context_set_jump(TcgVcpu *tv, TcgContext *context, uint64_t pc, unsigned jump_class,
                      void *code)
{
    TcgJumpEntry *entry = context_jump(tv, context, pc, jump_class);

    if (context->jump_filled_count < TCG_JUMP_FILLED) {
        context->jump_filled[context->jump_filled_count] = (uint16_t)(entry - context->jump);
    }
    if (context->jump_filled_count <= TCG_JUMP_FILLED) {
        context->jump_filled_count++;
    }
    *entry = (TcgJumpEntry){ pc, code };
}

void context_clear_jumps(TcgVcpu *tv, TcgContext *context)
{
    if (context->jump_filled_count <= TCG_JUMP_FILLED) {
        for (unsigned i = 0; i < context->jump_filled_count; i++) {
            clear_jump(tv, context, context->jump_filled[i]);
        }
    } else {
        for (unsigned i = 0; i < (unsigned)tv->target->jump_classes << TCG_JUMP_BITS; i++) {
            clear_jump(tv, context, i);
        }
    }
    context->jump_filled_count = 0;
    for (size_t i = 0; i < TCG_RETURN_STACK; i++) {
        context->returns[i] = (TcgJumpEntry){ TCG_JUMP_EMPTY, context->empty_return };
    }
}

static void clear_context(TcgVcpu *tv, TcgContext *context)
{
    for (size_t i = 0; i < ARRAY_SIZE(context->tlb); i++) {
        context->tlb[i] = (TcgTlbEntry){ TCG_TLB_EMPTY, TCG_TLB_EMPTY, 0, 0 };
    }
    for (size_t i = 0; i < ARRAY_SIZE(context->fetch); i++) {
        context->fetch[i].tag = TCG_TLB_EMPTY;
    }
    context_clear_jumps(tv, context);
    memset(context->executed, 0, sizeof context->executed);
    memset(context->large_blocks, 0, sizeof context->large_blocks);
    context->huge_min = UINT64_MAX;
    context->huge_max = 0;
}

static TcgContext *new_context(TcgVcpu *tv)
{
    TcgContext *context;

    if (tv->context_count < TCG_CONTEXTS) {
        context = mmap(NULL, tcg_context_size(tv->target->jump_classes), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (context != MAP_FAILED) {
            context->empty_return = tv->run->thunks.empty_return;
            context->jump_filled_count = TCG_JUMP_FILLED + 1;
            return tv->contexts[tv->context_count++] = context;
        }
        g_assert(tv->context_count > 2);
    }
    context = NULL;
    for (unsigned i = 0; i < tv->context_count; i++) {
        TcgContext *c = tv->contexts[i];

        if (c != tv->env->context && c != tv->env->context_unpriv &&
            (!context || c->last_used < context->last_used)) {
            context = c;
        }
    }
    if (tv->context_hash[context_hash(context->key)] == context) {
        tv->context_hash[context_hash(context->key)] = NULL;
    }
    return context;
}

static TcgContext *find_context(TcgVcpu *tv, uint64_t key)
{
    TcgContext **slot = &tv->context_hash[context_hash(key)], *context = *slot;

    if (!context || context->key != key) {
        context = NULL;
        for (unsigned i = 0; i < tv->context_count && !context; i++) {
            context = tv->contexts[i]->key == key ? tv->contexts[i] : NULL;
        }
        if (!context) {
            context = new_context(tv);
            clear_context(tv, context);
            context->key = key;
        }
        *slot = context;
    }
    context->last_used = ++tv->use_clock;
    return context;
}

void tcg_set_context(TcgState *env, uint64_t key, uint64_t unpriv_key)
{
    TcgVcpu *tv = tcg_vcpu(env);

    if (!tv) {
        return;
    }
    if (!env->context || env->context->key != key) {
        env->context = find_context(tv, key);
        tv->context_switches++;
    }
    if (!env->context_unpriv || env->context_unpriv->key != unpriv_key) {
        env->context_unpriv = find_context(tv, unpriv_key);
    }
}

void context_init(TcgVcpu *tv)
{
    tv->walk = mmap(NULL, sizeof *tv->walk << TCG_WALK_BITS, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert(tv->walk != MAP_FAILED);
    g_mutex_init(&tv->inbox_lock);
    tcg_set_context(tv->env, 0, 0);
}

void context_free(TcgVcpu *tv)
{
    for (unsigned i = 0; i < tv->context_count; i++) {
        munmap(tv->contexts[i], tcg_context_size(tv->target->jump_classes));
    }
    munmap(tv->walk, sizeof *tv->walk << TCG_WALK_BITS);
    g_mutex_clear(&tv->inbox_lock);
}

static void flush_walk(TcgVcpu *tv)
{
    madvise(tv->walk, sizeof *tv->walk << TCG_WALK_BITS, MADV_DONTNEED);
}

void context_flush_all(TcgVcpu *tv)
{
    for (unsigned i = 0; i < tv->context_count; i++) {
        clear_context(tv, tv->contexts[i]);
    }
    flush_walk(tv);
}

void context_forget_code(TcgVcpu *tv)
{
    for (unsigned i = 0; i < tv->context_count; i++) {
        context_clear_jumps(tv, tv->contexts[i]);
    }
}

/* Whether two addresses lie in one block of 1 << size_bits bytes; the ignored top byte does not count. */
static bool same_block(uint64_t a, uint64_t b, unsigned size_bits)
{
    return ((a ^ b) << 8) >> 8 >> size_bits == 0;
}

static void drop_tlb_entry(TcgTlbEntry *entry)
{
    entry->read = entry->write = TCG_TLB_EMPTY;
    entry->info = 0;
}

static bool must_drop(uint64_t info, uint64_t guest_virt, bool matches)
{
    return info && (matches || (info & INFO_GLOBAL)) &&
           same_block(info, guest_virt, (unsigned)(info & INFO_SIZE_MASK));
}

static bool was_executed(const TcgContext *context, uint64_t guest_virt)
{
    unsigned bit = (unsigned)(guest_virt >> TCG_PAGE_BITS) & (64 * 32 - 1);

    return context->executed[bit / 64] >> (bit % 64) & 1;
}

static bool may_be_huge(const TcgContext *context, uint64_t guest_virt)
{
    return guest_virt >= context->huge_min && guest_virt < context->huge_max;
}

bool context_may_be_large(const TcgContext *context, uint64_t guest_virt)
{
    unsigned bit = context_large_bit(guest_virt);

    return (context->large_blocks[bit / 64] >> (bit % 64) & 1) || may_be_huge(context, guest_virt);
}

/* The entries of a table indexed by page number that a large mapping's pages may have. */
typedef struct {
    size_t first, count;
} Slots;

static Slots large_slots(uint64_t guest_virt, bool huge, size_t table_size)
{
    size_t block = (size_t)1 << (TCG_LARGE_BLOCK_BITS - TCG_PAGE_BITS);
    size_t first = (size_t)(guest_virt >> TCG_PAGE_BITS) & (table_size - 1) & ~(block - 1);

    return huge || block > table_size ? (Slots){ 0, table_size } : (Slots){ first, block };
}

static void drop_page(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt, bool matches)
{
    uint64_t untagged = (uint64_t)bits_sign_extend(guest_virt, 56);
    unsigned index = (unsigned)(guest_virt >> TCG_PAGE_BITS);
    bool large = context_may_be_large(context, untagged);

    if (large) {
        Slots slots =
            large_slots(guest_virt, may_be_huge(context, untagged), ARRAY_SIZE(context->tlb));

        for (TcgTlbEntry *t = &context->tlb[slots.first]; slots.count--; t++) {
            if (must_drop(t->info, guest_virt, matches)) {
                drop_tlb_entry(t);
            }
        }
    } else {
        TcgTlbEntry *entry = &context->tlb[index & (ARRAY_SIZE(context->tlb) - 1)];

        if (must_drop(entry->info, guest_virt, matches)) {
            drop_tlb_entry(entry);
        }
    }
    /* Fetch entries do not know whether they are global or large: they go when in doubt. */
    if (large) {
        for (size_t i = 0; i < ARRAY_SIZE(context->fetch); i++) {
            context->fetch[i].tag = TCG_TLB_EMPTY;
        }
        context_clear_jumps(tv, context);
    } else if (was_executed(context, untagged)) {
        context->fetch[index & (ARRAY_SIZE(context->fetch) - 1)].tag = TCG_TLB_EMPTY;
        context_clear_jumps(tv, context);
    }
}

static void drop_walk_page(TcgVcpu *tv, uint64_t guest_virt)
{
    uint64_t page = (uint64_t)bits_sign_extend(guest_virt, 56) & TCG_PAGE_MASK;
    bool large = false, huge = false;
    Slots slots;

    for (unsigned i = 0; i < tv->context_count; i++) {
        const TcgContext *c = tv->contexts[i];

        large |= context_may_be_large(c, page);
        huge |= may_be_huge(c, page);
    }
    if (!large) {
        TcgWalkEntry *entry = &tv->walk[(page >> TCG_PAGE_BITS) & ((1u << TCG_WALK_BITS) - 1)];

        if (same_block(entry->page, page, TCG_PAGE_BITS)) {
            entry->mapping.size_bits = 0;
        }
        return;
    }
    slots = large_slots(page, huge, (size_t)1 << TCG_WALK_BITS);
    for (TcgWalkEntry *entry = &tv->walk[slots.first]; slots.count--; entry++) {
        if (entry->mapping.size_bits && same_block(entry->page, page, entry->mapping.size_bits)) {
            entry->mapping.size_bits = 0;
        }
    }
}

void tcg_invalidate_page(TcgState *env, uint64_t guest_virt, TcgContextMatch *match, uint64_t arg)
{
    TcgVcpu *tv = tcg_vcpu(env);

    tv->invalidated_pages++;
    for (unsigned i = 0; i < tv->context_count; i++) {
        TcgContext *context = tv->contexts[i];

        drop_page(tv, context, guest_virt, !match || match(context->key, arg));
    }
    drop_walk_page(tv, guest_virt);
}

void tcg_invalidate_contexts(TcgState *env, TcgContextMatch *match, uint64_t arg)
{
    TcgVcpu *tv = tcg_vcpu(env);

    tv->invalidated_contexts++;
    for (unsigned i = 0; i < tv->context_count; i++) {
        if (!match || match(tv->contexts[i]->key, arg)) {
            clear_context(tv, tv->contexts[i]);
        }
    }
    if (!match) {
        flush_walk(tv);
        return;
    }
    for (size_t i = 0; i < 1u << TCG_WALK_BITS; i++) {
        if (tv->walk[i].mapping.size_bits && !tv->walk[i].mapping.global &&
            match(tv->walk[i].key, arg)) {
            tv->walk[i].mapping.size_bits = 0;
        }
    }
}

static void carry_out(TcgVcpu *tv, const TcgRequest *request)
{
    if (request->kind == TCG_REQUEST_PAGE) {
        tcg_invalidate_page(tv->env, request->guest_virt, request->match, request->arg);
    } else {
        tcg_invalidate_contexts(tv->env, request->match, request->arg);
    }
}

static void futex(_Atomic uint32_t *word, int operation, uint32_t value,
                  const struct timespec *timeout)
{
    syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

void context_process_inbox(TcgVcpu *tv)
{
    TcgRequest requests[TCG_INBOX];
    unsigned count;
    bool overflow;
    uint32_t posted;

    if (!atomic_load(&tv->inbox_waiting)) {
        return;
    }
    g_mutex_lock(&tv->inbox_lock);
    count = tv->inbox_count;
    memcpy(requests, tv->inbox, count * sizeof *requests);
    overflow = tv->inbox_overflow;
    tv->inbox_count = 0;
    tv->inbox_overflow = false;
    posted = tv->posted;
    atomic_store(&tv->inbox_waiting, false);
    g_mutex_unlock(&tv->inbox_lock);
    if (overflow) {
        context_flush_all(tv);
    } else {
        for (unsigned i = 0; i < count; i++) {
            carry_out(tv, &requests[i]);
        }
    }
    atomic_store(&tv->processed, posted);
    futex(&tv->processed, FUTEX_WAKE, INT32_MAX, NULL);
}

static void post(TcgVcpu *to, const TcgRequest *request)
{
    g_mutex_lock(&to->inbox_lock);
    if (to->inbox_count < TCG_INBOX) {
        to->inbox[to->inbox_count++] = *request;
    } else {
        to->inbox_overflow = true;
    }
    to->posted++;
    atomic_store(&to->inbox_waiting, true);
    g_mutex_unlock(&to->inbox_lock);
    atomic_store(&to->env->exit_request, 1);
}

void context_post_all(TcgRun *run, const TcgRequest *request, TcgVcpu *except)
{
    for (unsigned i = 0; i < run->vcpus->len; i++) {
        TcgVcpu *to = g_ptr_array_index(run->vcpus, i);

        if (to != except) {
            post(to, request);
        }
    }
}

static void broadcast(TcgState *env, const TcgRequest *request)
{
    TcgVcpu *tv = tcg_vcpu(env);

    carry_out(tv, request);
    if (tv->run->vcpus->len > 1) {
        context_post_all(tv->run, request, tv);
        tv->broadcast_pending = true;
        tv->run->broadcasts++;
    }
}

void tcg_broadcast_invalidate_page(TcgState *env, uint64_t guest_virt, TcgContextMatch *match,
                                   uint64_t arg)
{
    broadcast(env, &(TcgRequest){ TCG_REQUEST_PAGE, guest_virt, match, arg });
}

void tcg_broadcast_invalidate_contexts(TcgState *env, TcgContextMatch *match, uint64_t arg)
{
    broadcast(env, &(TcgRequest){ TCG_REQUEST_CONTEXTS, 0, match, arg });
}

/* Waits until `other` has done what was posted, or is outside guest code (it will, before it enters). */
static void wait_for(TcgVcpu *tv, TcgVcpu *other)
{
    uint32_t wanted = atomic_load(&other->posted);
    const struct timespec pause = { 0, 200000 };

    for (;;) {
        uint32_t processed = atomic_load(&other->processed);

        if ((int32_t)(processed - wanted) >= 0 || !atomic_load(&other->in_guest)) {
            return;
        }
        /* The other may be waiting for this one. */
        context_process_inbox(tv);
        futex(&other->processed, FUTEX_WAIT, processed, &pause);
    }
}

void tcg_invalidate_wait(TcgState *env)
{
    TcgVcpu *tv = tcg_vcpu(env);

    if (!tv->broadcast_pending) {
        return;
    }
    tv->broadcast_pending = false;
    for (unsigned i = 0; i < tv->run->vcpus->len; i++) {
        TcgVcpu *other = g_ptr_array_index(tv->run->vcpus, i);

        if (other != tv) {
            wait_for(tv, other);
        }
    }
}
