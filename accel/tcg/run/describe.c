/* SPDX-License-Identifier: MIT */
/* What `info jit` and -d in_asm,out_asm print. */
#include <inttypes.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"
#include "base/capstone.h"
#include "base/log.h"

/* align: bytes to skip where nothing can be decoded. */
static void disassemble(csh handle, const uint8_t *bytes, size_t size, uint64_t address,
                        unsigned align)
{
    cs_insn *insn = capstone.cs_malloc(handle);
    FILE *out = log_begin();

    while (size) {
        if (capstone.cs_disasm_iter(handle, &bytes, &size, &address, insn)) {
            fprintf(out, "  %016" PRIx64 ": %-8s %s\n", insn->address, insn->mnemonic,
                    insn->op_str);
            continue;
        }
        size_t skip = MIN(size, align);
        fprintf(out, "  %016" PRIx64 ": .byte", address);
        for (size_t i = 0; i < skip; i++) {
            fprintf(out, " %02x", bytes[i]);
        }
        fputc('\n', out);
        bytes += skip;
        size -= skip;
        address += skip;
    }
    log_end();
    capstone.cs_free(insn, 1);
}

void describe_guest_code(TcgVcpu *tv, const TcgCode *code, uint64_t pc, const IrUnit *unit)
{
    const Target *target = tv->vcpu->target;
    uint8_t bytes[TCG_PAGE_SIZE];
    size_t size = (size_t)(unit->end - unit->start);
    g_autoptr(GError) error = NULL;
    csh handle;

    if (!capstone_open(target->capstone_arch, target_capstone_mode(tv->vcpu), &handle, &error)) {
        log_printf("%s: %s\n", target->name, error->message);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        bytes[i] = tcg_code_byte(code, unit->start + i);
    }
    log_printf("IN: mode %" PRIx64 "\n", unit->mode);
    disassemble(handle, bytes, size, pc, tv->target->insn_align);
    capstone.cs_close(&handle);
}

void describe_host_code(const HostCode *code, const uint8_t *start, const uint8_t *cold)
{
    csh handle;

    if (!capstone_open(CS_ARCH_X86, CS_MODE_64, &handle, NULL)) {
        return;
    }
    log_printf("OUT: %zu bytes of instructions\n", code->insn_size);
    disassemble(handle, start, code->insn_size, (uintptr_t)start, 1);
    log_printf("SLOW PATHS: %zu bytes, %zu of instructions\n", code->cold_size,
               code->cold_insn_size);
    disassemble(handle, cold, code->cold_insn_size, (uintptr_t)cold, 1);
    capstone.cs_close(&handle);
}

static void describe_vcpu(const TcgVcpu *tv, GString *out)
{
    const TcgState *env = tv->env;

    g_string_append_printf(out, "cpu%u:\n", tv->vcpu->index);
    g_string_append_printf(out, "  exits to the run loop    %" PRIu64 "\n", tv->exits);
    g_string_append_printf(out, "  dispatches               %" PRIu64 "\n", env->dispatches);
    g_string_append_printf(out, "  indirect-jump misses     %" PRIu64 "\n", env->indirects);
    g_string_append_printf(out, "  slow loads, stores       %" PRIu64 ", %" PRIu64 "\n",
                           env->slow_loads, env->slow_stores);
    g_string_append_printf(out, "  units left at a group    %" PRIu64 "\n", env->groups_left);
    g_string_append_printf(out, "  table walks, walk hits   %" PRIu64 ", %" PRIu64 "\n", tv->walks,
                           tv->walk_hits);
    g_string_append_printf(out, "  context switches (live)  %" PRIu64 " (%u)\n",
                           tv->context_switches, tv->context_count);
    g_string_append_printf(out, "  invalidated pages        %" PRIu64 "\n", tv->invalidated_pages);
    g_string_append_printf(out, "  invalidated contexts     %" PRIu64 "\n",
                           tv->invalidated_contexts);
}

void describe_run(Machine *machine, GString *out)
{
    TcgRun *run = machine->accel_state;
    uint64_t code = (uint64_t)(run->code_next - run->code);
    uint64_t slow = (uint64_t)(run->cold_next - run->cold_start), units = MAX(run->translated, 1);

    if (run->interp) {
        g_string_append(out, "interpreter\n");
    } else {
        g_string_append_printf(out, "host features            %s\n",
                               host_backend_describe(run->backend));
        g_string_append_printf(out,
                               "code cache               %" PRIu64 " KiB code, %" PRIu64
                               " KiB slow paths, %" PRIu64 " KiB records of %" PRIu64 " MiB used\n",
                               code / 1024, slow / 1024,
                               (uint64_t)(run->code_end - run->records) / 1024, run->cache_mib);
    }
    g_string_append_printf(
        out, "units translated         %" PRIu64 " (%" PRIu64 " instructions, %.1f each)\n",
        run->translated, run->translated_insns, (double)run->translated_insns / units);
    g_string_append_printf(out, "time spent translating   %.3f s (%.2f us an instruction)\n",
                           (double)run->translated_us / 1e6,
                           (double)run->translated_us / (double)MAX(run->translated_insns, 1));
    if (!run->interp) {
        g_string_append_printf(out, "host bytes per guest     %.1f\n",
                               (double)(code + slow) / MAX(run->guest_bytes, 1));
    }
    g_string_append_printf(out, "links                    %" PRIu64 "\n", run->linked);
    g_string_append_printf(out, "units invalidated        %" PRIu64 "\n", run->invalidated_units);
    if (run->target->coherent_code) {
        g_string_append_printf(
            out, "stores to code           %" PRIu64 " (%" PRIu64 " by the running unit)\n",
            run->code_stores, run->replays);
    }
    g_string_append_printf(out, "cache flushes            %" PRIu64 "\n", run->flushes);
    g_string_append_printf(out, "broadcast invalidations  %" PRIu64 "\n", run->broadcasts);
    for (unsigned i = 0; i < run->vcpus->len; i++) {
        describe_vcpu(g_ptr_array_index(run->vcpus, i), out);
    }
}
