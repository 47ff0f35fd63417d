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

static unsigned context_hash(uint64_t key)
{
    return (unsigned)((key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - TCG_CONTEXT_HASH_BITS));
}

/* The guest may well jump to 0 or 1: an empty entry must not match, or must lead somewhere safe. */
static void clear_jump(TcgVcpu *tv, TcgContext *context, unsigned index)
{
    context->jump[index] =
        (TcgJumpEntry){ tcg_jump_empty(index & ((1u << TCG_JUMP_BITS) - 1), tv->target->jump_shift),
                        NULL };
}

TcgJumpEntry *context_jump(TcgVcpu *tv, TcgContext *context, uint64_t pc, unsigned table)
{
    return &context->jump[((size_t)table << TCG_JUMP_BITS) +
                          tcg_jump_index(pc, tv->target->jump_shift)];
}

static void note_jump(TcgContext *context, unsigned index)
{
    unsigned part = index >> TCG_JUMP_PART_BITS;

    context->jump_parts[part / 64] |= BIT(part % 64);
    if (context->jump_filled_count < TCG_JUMP_FILLED) {
        context->jump_filled[context->jump_filled_count] = (uint16_t)index;
    }
    if (context->jump_filled_count <= TCG_JUMP_FILLED) {
        context->jump_filled_count++;
    }
}

void context_set_jump(TcgVcpu *tv, TcgContext *context, uint64_t pc, unsigned table, void *code)
{
    TcgJumpEntry *entry = context_jump(tv, context, pc, table);

    /* Those that were kept are not looked at again: keep_jumps. */
    if (!entry->code || context->jump_kept) {
        note_jump(context, (unsigned)(entry - context->jump));
    }
    *entry = (TcgJumpEntry){ pc, code };
}

/* Empties the parts that something was filled in. The first entry of a class is not zero when it is empty. */
static void clear_jump_parts(TcgVcpu *tv, TcgContext *context)
{
    unsigned classes = tv->target->jump_classes;

    for (unsigned part = 0; part < classes << TCG_JUMP_BITS >> TCG_JUMP_PART_BITS; part++) {
        if (context->jump_parts[part / 64] >> (part % 64) & 1) {
            memset(&context->jump[part << TCG_JUMP_PART_BITS], 0,
                   sizeof *context->jump << TCG_JUMP_PART_BITS);
        }
    }
    for (unsigned i = 0; i < classes; i++) {
        clear_jump(tv, context, i << TCG_JUMP_BITS);
    }
}

void context_clear_returns(TcgContext *context)
{
    for (size_t i = 0; i < TCG_RETURN_STACK; i++) {
        context->returns[i] = (TcgJumpEntry){ TCG_JUMP_EMPTY, context->empty_return };
    }
}

void context_clear_jumps(TcgVcpu *tv, TcgContext *context)
{
    if (context->jump_filled_count <= TCG_JUMP_FILLED) {
        for (unsigned i = 0; i < context->jump_filled_count; i++) {
            clear_jump(tv, context, context->jump_filled[i]);
        }
    } else {
        clear_jump_parts(tv, context);
    }
    memset(context->jump_parts, 0, sizeof context->jump_parts);
    context->jump_filled_count = context->jump_kept = 0;
    context_clear_returns(context);
}

static void clear_jump_of(TcgVcpu *tv, TcgContext *context, unsigned index, uint64_t guest_virt)
{
    if (tlb_same_block(context->jump[index].pc, guest_virt, TCG_PAGE_BITS)) {
        clear_jump(tv, context, index);
    }
}

/* Looks at all entries that pcs of the page may have. */
static void clear_jumps_of(TcgVcpu *tv, TcgContext *context, unsigned table, uint64_t guest_virt)
{
    unsigned step = 1u << tv->target->jump_shift;

    for (unsigned offset = 0; offset < TCG_PAGE_SIZE; offset += step) {
        unsigned index =
            tcg_jump_index((guest_virt & TCG_PAGE_MASK) + offset, tv->target->jump_shift);

        clear_jump_of(tv, context, (table << TCG_JUMP_BITS) + index, guest_virt);
    }
}

void context_drop_jumps(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt)
{
    if (context->jump_filled_count <= TCG_JUMP_FILLED) {
        for (unsigned i = 0; i < context->jump_filled_count; i++) {
            clear_jump_of(tv, context, context->jump_filled[i], guest_virt);
        }
    } else {
        for (unsigned i = 0; i < tv->target->jump_classes; i++) {
            clear_jumps_of(tv, context, i, guest_virt);
        }
    }
    context_clear_returns(context);
}

static bool is_fetched(TcgContext *context, uint64_t pc)
{
    return tlb_fetch_entry(context, pc)->tag == (pc & TCG_PAGE_MASK);
}

/* Keeps jumps to pages that fetch entries are left for. Those that were kept before still have the same mapping. */
static void keep_jumps(TcgVcpu *tv, TcgContext *context)
{
    if (context->jump_filled_count > TCG_JUMP_FILLED) {
        context_clear_jumps(tv, context);
        return;
    }
    for (uint32_t i = context->jump_kept; i < context->jump_filled_count; i++) {
        uint16_t index = context->jump_filled[i];

        if (is_fetched(context, context->jump[index].pc)) {
            context->jump_filled[context->jump_kept++] = index;
        } else {
            clear_jump(tv, context, index);
        }
    }
    context->jump_filled_count = context->jump_kept;
    context_clear_returns(context);
}

static bool is_current(const TcgVcpu *tv, const TcgContext *context)
{
    return context == tv->env->context || context == tv->env->context_other;
}

/* Only current contexts are filled: others that are empty stay so. */
static void clear_context(TcgVcpu *tv, TcgContext *context)
{
    if (!context->empty) {
        tlb_clear(context);
        context_clear_jumps(tv, context);
        context->empty = !is_current(tv, context);
    }
}

static void drop_local(TcgVcpu *tv, TcgContext *context)
{
    if (context->empty) {
        return;
    }
    if (tlb_keep_global(context)) {
        keep_jumps(tv, context);
    } else {
        context_clear_jumps(tv, context);
    }
}

static TcgContext *new_context(TcgVcpu *tv)
{
    TcgContext *context;

    if (tv->context_count < TCG_CONTEXTS) {
        context = tlb_map(tcg_context_size(tv->target->jump_classes));
        if (context) {
            context->empty_return = tv->run->thunks.empty_return;
            context->jump_filled_count = TCG_JUMP_FILLED + 1;
            return tv->contexts[tv->context_count++] = context;
        }
        g_assert(tv->context_count > 2);
    }
    context = NULL;
    for (unsigned i = 0; i < tv->context_count; i++) {
        TcgContext *c = tv->contexts[i];

        if (!is_current(tv, c) && (!context || c->last_used < context->last_used)) {
            context = c;
        }
    }
    if (tv->context_hash[context_hash(context->key)] == context) {
        tv->context_hash[context_hash(context->key)] = NULL;
    }
    /* Walks of a key are found again by its context: tcg_invalidate_contexts. */
    tlb_forget_key(tv, context->key);
    return context;
}

/* Whether its address space has not been used for long, and is most likely dead, and it holds something. */
static bool is_worn(const TcgVcpu *tv, const TcgContext *context)
{
    unsigned newer = 0;

    for (unsigned i = 0; i < tv->context_count; i++) {
        newer += tv->contexts[i]->last_used > context->last_used;
    }
    return newer >= TCG_RICH_CONTEXTS && context->tlb_filled.count && !is_current(tv, context);
}

static TcgContext *find_worn(const TcgVcpu *tv)
{
    for (unsigned i = 0; i < tv->context_count; i++) {
        if (is_worn(tv, tv->contexts[i])) {
            return tv->contexts[i];
        }
    }
    return NULL;
}

/* `context`, which is empty, takes the other's place, which becomes so: the other's memory need not be had from the host again. */
static TcgContext *swap_for_worn(TcgVcpu *tv, TcgContext *context)
{
    TcgContext *worn = find_worn(tv);

    if (!worn) {
        return context;
    }
    clear_context(tv, worn);
    context->key = worn->key;
    context->last_used = worn->last_used;
    if (tv->context_hash[context_hash(worn->key)] == worn) {
        tv->context_hash[context_hash(worn->key)] = context;
    }
    return worn;
}

/* The tables of others go back to the host. */
static void trim_contexts(TcgVcpu *tv)
{
    for (TcgContext *context; (context = find_worn(tv));) {
        tlb_release(context);
        context_clear_jumps(tv, context);
    }
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
            context = swap_for_worn(tv, context);
            trim_contexts(tv);
            context->key = key;
        }
        *slot = context;
    }
    context->last_used = ++tv->use_clock;
    context->empty = false;
    return context;
}

void tcg_set_context(TcgState *env, uint64_t key, uint64_t other_key)
{
    TcgVcpu *tv = tcg_vcpu(env);

    if (!tv) {
        return;
    }
    if (!env->context || env->context->key != key) {
        env->context = find_context(tv, key);
        tv->context_switches++;
    }
    if (!env->context_other || env->context_other->key != other_key) {
        env->context_other = find_context(tv, other_key);
    }
}

void context_init(TcgVcpu *tv)
{
    tlb_init(tv);
    g_mutex_init(&tv->inbox_lock);
    tcg_set_context(tv->env, 0, 0);
}

void context_free(TcgVcpu *tv)
{
    for (unsigned i = 0; i < tv->context_count; i++) {
        munmap(tv->contexts[i], tcg_context_size(tv->target->jump_classes));
    }
    tlb_free(tv);
    g_mutex_clear(&tv->inbox_lock);
}

void context_flush_all(TcgVcpu *tv)
{
    for (unsigned i = 0; i < tv->context_count; i++) {
        clear_context(tv, tv->contexts[i]);
    }
    tlb_forget_all(tv);
}

void context_forget_code(TcgVcpu *tv)
{
    for (unsigned i = 0; i < tv->context_count; i++) {
        context_clear_jumps(tv, tv->contexts[i]);
    }
    memset(tv->ungrouped_units, 0, sizeof tv->ungrouped_units);
}

void tcg_invalidate_page(TcgState *env, uint64_t guest_virt, TcgContextMatch *match, uint64_t arg)
{
    TcgVcpu *tv = tcg_vcpu(env);

    if (!tv) {
        return;
    }
    tv->invalidated_pages++;
    for (unsigned i = 0; i < tv->context_count; i++) {
        TcgContext *context = tv->contexts[i];

        tlb_drop_page(tv, context, guest_virt, !match || match(context->key, arg));
    }
    tlb_drop_walk(tv, guest_virt);
}

void tcg_invalidate_contexts(TcgState *env, TcgContextMatch *match, uint64_t arg)
{
    TcgVcpu *tv = tcg_vcpu(env);

    if (!tv) {
        return;
    }
    tv->invalidated_contexts++;
    if (!match) {
        context_flush_all(tv);
        return;
    }
    for (unsigned i = 0; i < tv->context_count; i++) {
        if (match(tv->contexts[i]->key, arg)) {
            drop_local(tv, tv->contexts[i]);
            tlb_forget_key(tv, tv->contexts[i]->key);
        }
    }
}

static void carry_out(TcgVcpu *tv, const TcgRequest *request)
{
    if (request->kind == TCG_REQUEST_PAGE) {
        tcg_invalidate_page(tv->env, request->guest_virt, request->match, request->arg);
    } else if (request->kind == TCG_REQUEST_PROTECT) {
        tlb_drop_writes(tv, request->guest_virt, request->arg);
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

void context_broadcast(TcgVcpu *tv, const TcgRequest *request)
{
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
    context_broadcast(tcg_vcpu(env), &(TcgRequest){ TCG_REQUEST_PAGE, guest_virt, match, arg });
}

void tcg_broadcast_invalidate_contexts(TcgState *env, TcgContextMatch *match, uint64_t arg)
{
    context_broadcast(tcg_vcpu(env), &(TcgRequest){ TCG_REQUEST_CONTEXTS, 0, match, arg });
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
