/* SPDX-License-Identifier: MIT */
/*
 * What memory ops of other guests than Arm ask of the slow paths: addresses that wrap, loads that are
 * checked as writes, alignment of 16 bytes, atomic ops across pages and on devices.
 */
#include <setjmp.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"
#include "tests/isa/rig.h"

enum {
    READ_ONLY = 0x3000, /* a page that the walk below does not let be written */
    DEVICE = 0x10000000,
    HIGH_RAM = 0xffff0000,
};

typedef struct {
    IsaRig rig;
    TcgVcpu *tv;
    TcgState *env;
    TcgTarget target;
    MemoryRegion low, high, device;
} Fixture;

/* What the last walk and the device saw. */
typedef struct {
    uint64_t address;
    unsigned size, flags;
    TcgAccess access;
    bool fault;
    uint64_t device_value;
    unsigned device_writes;
} Seen;
static Seen seen;

static bool walk(TcgState *env, uint64_t guest_virt, unsigned size, TcgAccess access,
                 unsigned flags, TcgMapping *mapping)
{
    seen.address = guest_virt;
    seen.size = size;
    seen.flags = flags;
    seen.access = access;
    if ((access == TCG_WRITE && (guest_virt & TCG_PAGE_MASK) == READ_ONLY) ||
        (size && flags & IR_MEM_ALIGNED && guest_virt & (size - 1))) {
        return false;
    }
    *mapping = (TcgMapping){ .guest_phys = guest_virt & TCG_PAGE_MASK,
                             .size_bits = TCG_PAGE_BITS,
                             .read = true,
                             .write = (guest_virt & TCG_PAGE_MASK) != READ_ONLY };
    return true;
}

static void raise_fault(TcgState *env)
{
    seen.fault = true;
}

static MemoryResult device_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    *value = seen.device_value;
    return MEMORY_OK;
}

static MemoryResult device_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    seen.device_value = value;
    seen.device_writes++;
    return MEMORY_OK;
}

static void set_up(Fixture *f, gconstpointer data)
{
    static const MemoryOps device_ops = {
        .read = device_read, .write = device_write, .size_min = 4, .size_max = 4
    };
    Machine *machine;

    seen = (Seen){ 0 };
    g_assert_true(isa_rig_open(&f->rig, "max", 1, true));
    machine = f->rig.machine;
    g_assert_true(memory_region_init_ram(&f->low, machine, "low", 0x10000, NULL));
    g_assert_true(memory_region_init_ram(&f->high, machine, "high", 0x10000, NULL));
    memory_region_init_io(&f->device, machine, "device", 0x1000, &device_ops, NULL);
    memory_region_add(machine->system_memory, 0, &f->low, 0);
    memory_region_add(machine->system_memory, HIGH_RAM, &f->high, 0);
    memory_region_add(machine->system_memory, DEVICE, &f->device, 0);
    f->tv = f->rig.cpu->vcpu.accel;
    f->env = f->tv->env;
    f->target = *f->tv->target;
    f->target.walk = walk;
    f->target.raise_fault = raise_fault;
    f->target.locks_anything = true;
    f->tv->target = &f->target;
}

static void tear_down(Fixture *f, gconstpointer data)
{
    f->tv->target = f->tv->run->target;
    isa_rig_close(&f->rig);
}

/* Whether an access faults. write: a store, else a load. */
static bool faults(Fixture *f, uint64_t address, unsigned size, bool write, unsigned flags)
{
    jmp_buf unwind;

    seen.fault = false;
    f->env->unwind = &unwind;
    if (setjmp(unwind) == 0) {
        if (write) {
            tcg_store(f->env, address, 0, size, flags);
        } else {
            tcg_load(f->env, address, size, flags);
        }
    }
    f->env->unwind = NULL;
    return seen.fault;
}

static void test_wrap(Fixture *f, gconstpointer data)
{
    tcg_store(f->env, 0xfffffffe, 0x44332211, 4, IR_MEM_WRAP32);
    g_assert_cmphex(load_le16(f->high.host + 0xfffe), ==, 0x2211);
    g_assert_cmphex(load_le16(f->low.host), ==, 0x4433);
    g_assert_cmphex(tcg_load(f->env, UINT64_C(0x7fffffffe), 4, IR_MEM_WRAP32), ==, 0x44332211);
    g_assert_cmphex(tcg_load(f->env, UINT64_C(0x100000000), 2, IR_MEM_WRAP32), ==, 0x4433);
    g_assert_cmphex(tcg_load(f->env, (uint64_t)-2, 4, IR_MEM_WRAP32), ==, 0x44332211);
    tcg_store(f->env, 0x1ffff, 0xa1b2, 2, IR_MEM_WRAP16 | IR_MEM_BE);
    g_assert_cmphex(f->low.host[0xffff], ==, 0xa1);
    g_assert_cmphex(f->low.host[0], ==, 0xb2);
    g_assert_cmphex(tcg_load(f->env, 0xffff, 2, IR_MEM_WRAP16 | IR_MEM_BE), ==, 0xa1b2);
    g_assert_true(tcg_probe(f->env, UINT64_C(0x300000010), 4, true, IR_MEM_WRAP32) ==
                  f->low.host + 0x10);
}

static void test_for_write(Fixture *f, gconstpointer data)
{
    g_assert_false(faults(f, READ_ONLY + 8, 4, false, 0));
    g_assert_true(faults(f, READ_ONLY + 8, 4, false, IR_MEM_FOR_WRITE | IR_MEM_STACK));
    g_assert_cmpint(seen.access, ==, TCG_WRITE);
    g_assert_true(seen.flags & IR_MEM_STACK);
    g_assert_true(faults(f, READ_ONLY + 8, 4, true, 0));
    /* The second page of two decides, too, and nothing is written before. */
    g_assert_true(faults(f, READ_ONLY - 2, 4, false, IR_MEM_FOR_WRITE));
    f->low.host[READ_ONLY - 1] = 7;
    g_assert_true(faults(f, READ_ONLY - 2, 4, true, 0));
    g_assert_cmpuint(f->low.host[READ_ONLY - 1], ==, 7);
}

static void test_aligned(Fixture *f, gconstpointer data)
{
    HostRuntime *runtime = &f->tv->run->runtime;
    jmp_buf unwind;

    runtime->store_vector(f->env, 0x1010, (V128){ 1, 2 }, 16, IR_MEM_ALIGNED);
    g_assert_cmphex(load_le64(f->low.host + 0x1018), ==, 2);
    for (unsigned i = 0; i < 2; i++) {
        seen.fault = false;
        f->env->unwind = &unwind;
        if (setjmp(unwind) == 0) {
            runtime->load_vector(f->env, i ? 0x1ff8 : 0x1018, 16, IR_MEM_ALIGNED);
        }
        f->env->unwind = NULL;
        g_assert_true(seen.fault);
        g_assert_cmpuint(seen.size, ==, 16);
    }
}

static void test_atomics(Fixture *f, gconstpointer data)
{
    uint32_t *host = tcg_atomic_begin(f->env, 0x1ffc, 4, 0);

    /* Within a page: the bytes themselves. */
    g_assert_true((uint8_t *)host == f->low.host + 0x1ffc);
    tcg_atomic_end(f->env);
    /* Across pages. */
    store_le32(f->low.host + 0x1ffe, 5);
    host = tcg_atomic_begin(f->env, 0x1ffe, 4, IR_MEM_FOR_WRITE);
    g_assert_cmpuint(f->env->exclusive_size, ==, 4);
    g_assert_cmpuint((*host)++, ==, 5);
    g_assert_cmpuint(load_le32(f->low.host + 0x1ffe), ==, 5);
    tcg_atomic_end(f->env);
    g_assert_cmpuint(f->env->exclusive_size, ==, 0);
    g_assert_cmpuint(load_le32(f->low.host + 0x1ffe), ==, 6);
    /* Around the end of a 32-bit address space. */
    host = tcg_atomic_begin(f->env, 0xffffffff, 4, IR_MEM_WRAP32);
    *host = 0x44332211;
    tcg_atomic_end(f->env);
    g_assert_cmphex(f->high.host[0xffff], ==, 0x11);
    g_assert_cmphex(f->low.host[2], ==, 0x44);
    /* On a device. */
    seen.device_value = 0x10;
    host = tcg_atomic_begin(f->env, DEVICE + 4, 4, 0);
    *host += 1;
    tcg_atomic_end(f->env);
    g_assert_cmphex(seen.device_value, ==, 0x11);
    g_assert_cmpuint(seen.device_writes, ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/memory-ops/wrap", Fixture, NULL, set_up, test_wrap, tear_down);
    g_test_add("/memory-ops/for-write", Fixture, NULL, set_up, test_for_write, tear_down);
    g_test_add("/memory-ops/aligned", Fixture, NULL, set_up, test_aligned, tear_down);
    g_test_add("/memory-ops/atomics", Fixture, NULL, set_up, test_atomics, tear_down);
    return g_test_run();
}
