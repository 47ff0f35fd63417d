/* SPDX-License-Identifier: MIT */
/*
 * Code that lies in a device's memory: each instruction is read when it is executed, as far as it goes and no further.
 * usage: test-device-code [-i]     (-i: on the interpreter)
 */
#include "base/bits.h"
#include "target/i386/control.h"
#include "tests/isa/rig-x86.h"
#include "tests/isa/rig.h"

enum {
    PAGE = 0x1000,
    DEVICE = 0x8000000, /* beyond RAM */
    WITHIN = 0x201000,  /* a page between pages of RAM */
    CODE = 0x1000,
    CATCHER = 0x2000,
    STACK = 0x8000,
};

static bool interp;

typedef struct {
    MemoryRegion region;
    uint8_t bytes[PAGE];
    unsigned reads[PAGE]; /* of each byte */
    unsigned counting;    /* offset of a byte that is one more with each read; 0: none */
    bool own;             /* ... or by which CPU reads it */
    unsigned refused;     /* from this offset on there is nothing; 0: there is */
} Store;

static MemoryResult store_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    Store *store = opaque;

    if (store->refused && offset >= store->refused) {
        return MEMORY_DEVICE_ERROR;
    }
    *value = 0;
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = store->bytes[offset + i];

        if (store->counting && offset + i == store->counting) {
            byte = (uint8_t)(byte +
                             (store->own ? (unsigned)attributes.vcpu : store->reads[offset + i]));
        }
        store->reads[offset + i]++;
        *value |= (uint64_t)byte << 8 * i;
    }
    return MEMORY_OK;
}

static MemoryResult store_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    Store *store = opaque;

    for (unsigned i = 0; i < size; i++) {
        store->bytes[offset + i] = (uint8_t)(value >> 8 * i);
    }
    return MEMORY_OK;
}

static const MemoryOps store_ops = { .read = store_read, .write = store_write };

static void add_store(Machine *machine, Store *store, uint64_t address)
{
    memory_region_init_io(&store->region, machine, "store", PAGE, &store_ops, store);
    memory_region_add(machine->system_memory, address, &store->region, 1);
}

static void prepare(X86Rig *rig, Store *store, uint64_t address)
{
    if (!x86_rig_open_smp(rig, "max", interp, 2)) {
        exit(77);
    }
    x86_rig_long_mode(rig);
    x86_rig_catch(rig, CATCHER);
    rig->cpu->gpr[X86_RSP] = STACK;
    add_store(rig->machine, store, address);
}

static void finish(X86Rig *rig, Store *store)
{
    memory_region_remove(&store->region);
    x86_rig_close(rig);
}

/* mov al, DONE; mov dx, END_PORT; out dx, al; jmp . */
#define END 0xb0, X86_RIG_DONE, 0x66, 0xba, 0xf4, 0x05, 0xee, 0xeb, 0xfe

/* A loop with a call of code in RAM, and a call of itself. */
static void test_loop(void)
{
    static const uint8_t code[] = {
        0xb9, 5,    0,    0, 0, /* 00 mov ecx, 5 */
        0x31, 0xdb,             /* 05 xor ebx, ebx */
        0xff, 0xd6,             /* 07 call rsi */
        0xe8, 4,    0,    0, 0, /* 09 call 12 */
        0xe2, 0xf7,             /* 0e loop 07 */
        0xeb, 4,                /* 10 jmp 16 */
        0x83, 0xc3, 0x10,       /* 12 add ebx, 16 */
        0xc3,                   /* 15 ret */
        END,                    /* 16 */
    };
    Store store = { 0 };
    X86Rig rig;

    prepare(&rig, &store, DEVICE);
    memcpy(store.bytes + 0x10, code, sizeof code);
    memcpy(rig.ram + CODE, (uint8_t[]){ 0xff, 0xc3, 0xc3 }, 3); /* inc ebx; ret */
    rig.cpu->gpr[X86_RSI] = CODE;
    x86_rig_run(&rig, DEVICE + 0x10);
    g_assert_cmphex(rig.end_value, ==, X86_RIG_DONE);
    g_assert_cmphex(rig.cpu->gpr[X86_RBX], ==, 5 + 5 * 16);
    g_assert_cmpuint(store.reads[0x10], ==, 1);
    g_assert_cmpuint(store.reads[0x10 + 0x15], ==, 5);
    g_assert_cmpuint(store.reads[0x10 + 0xe], ==, 5);
    g_assert_cmpuint(store.reads[0xf], ==, 0);
    finish(&rig, &store);
}

/* Bytes that are others each time, and such as an instruction before has stored. */
static void test_bytes_change(void)
{
    static const uint8_t code[] = {
        0xb9, 4,    0,    0, 0,       /* 00 mov ecx, 4 */
        0x31, 0xdb,                   /* 05 xor ebx, ebx */
        0x83, 0xc3, 0x10,             /* 07 add ebx, 16 + … */
        0xe2, 0xfb,                   /* 0a loop 07 */
        0xc6, 0x05, 2,    0, 0, 0, 9, /* 0c mov byte [rip + 2], 9 */
        0x83, 0xc3, 1,                /* 13 add ebx, 1, which is 9 then */
        END,
    };
    Store store = { .counting = 0x10 + 9 };
    X86Rig rig;

    prepare(&rig, &store, DEVICE);
    memcpy(store.bytes + 0x10, code, sizeof code);
    x86_rig_run(&rig, DEVICE + 0x10);
    g_assert_cmphex(rig.end_value, ==, X86_RIG_DONE);
    g_assert_cmphex(rig.cpu->gpr[X86_RBX], ==, 4 * 16 + 0 + 1 + 2 + 3 + 9);
    finish(&rig, &store);
}

/* Instructions that lie partly in RAM. */
static void test_borders(void)
{
    static const uint8_t first[] = { 0xb8, 0x78, 0x56 }, second[] = { 0x34, 0x12 };
    Store store = { 0 };
    X86Rig rig;

    prepare(&rig, &store, WITHIN);
    memcpy(rig.ram + WITHIN - 3, first, 3); /* mov eax, 12345678, which begins in RAM */
    memcpy(store.bytes, second, 2);
    memcpy(store.bytes + 2, (uint8_t[]){ 0xe9, 0xf3, 0x0f, 0, 0 }, 5); /* jmp ffa */
    store.bytes[0xffa] = 0xbb;                                         /* mov ebx, 9abcdef0 */
    memset(store.bytes + 0xffb, 0x90, 5);
    store_le32(store.bytes + 0xffb, 0x9abcdef0);
    store.bytes[0xfff] = 0xb9; /* mov ecx, 55aa33cc, which ends in RAM */
    store_le32(rig.ram + WITHIN + PAGE, 0x55aa33cc);
    memcpy(rig.ram + WITHIN + PAGE + 4, (uint8_t[]){ END }, 9);
    for (unsigned i = 0; i < 2; i++) {
        x86_rig_run(&rig, WITHIN - 3);
        g_assert_cmphex(rig.end_value, ==, X86_RIG_DONE);
        g_assert_cmphex(rig.cpu->gpr[X86_RAX] & 0xffffff00, ==, 0x12345600 + i * 0x10000000);
        g_assert_cmphex(rig.cpu->gpr[X86_RBX], ==, 0x9abcdef0);
        g_assert_cmphex(rig.cpu->gpr[X86_RCX], ==, 0x55aa33cc + i);
        g_assert_cmpuint(store.reads[0], ==, 1 + i);
        g_assert_cmpuint(store.reads[0xfff], ==, 1 + i);
        store.bytes[1] = 0x22;
        store_le32(rig.ram + WITHIN + PAGE, 0x55aa33cd);
        memory_ram_written(rig.machine, WITHIN + PAGE, 4);
    }
    finish(&rig, &store);
}

/* What the device refuses is no instruction; what is in front of it has been executed. */
static void test_refused(void)
{
    Store store = { .refused = 0x104 };
    X86Rig rig;

    prepare(&rig, &store, DEVICE);
    memcpy(store.bytes + 0x100, (uint8_t[]){ 0xff, 0xc3, 0xff, 0xc3, 0xff }, 5);
    rig.cpu->gpr[X86_RBX] = 0;
    x86_rig_run(&rig, DEVICE + 0x100);
    g_assert_cmphex(rig.end_value, ==, X86_UD);
    g_assert_cmphex(load_le64(x86_rig_frame(&rig, CATCHER)), ==, DEVICE + 0x104);
    g_assert_cmphex(rig.cpu->gpr[X86_RBX], ==, 2);
    finish(&rig, &store);
}

/* A ROM whose reads are its device's for a while. */
static void test_rom(void)
{
    Store store = { 0 };
    MemoryRegion rom;
    X86Rig rig;

    prepare(&rig, &store, DEVICE);
    memory_region_init_rom(&rom, rig.machine, "rom", PAGE, &store_ops, &store, NULL);
    memory_region_add(rig.machine->system_memory, DEVICE + PAGE, &rom, 1);
    memcpy(rom.host, (uint8_t[]){ 0xb3, 1, END }, 11); /* mov bl, 1 */
    memcpy(store.bytes, (uint8_t[]){ 0xb3, 2, END }, 11);
    for (unsigned i = 0; i < 6; i++) {
        memory_region_set_rom_io(&rom, i & 1);
        x86_rig_run(&rig, DEVICE + PAGE);
        g_assert_cmphex(rig.end_value, ==, X86_RIG_DONE);
        g_assert_cmphex(rig.cpu->gpr[X86_RBX], ==, 1 + (i & 1));
    }
    memory_region_remove(&rom);
    finish(&rig, &store);
}

/* A trap behind each instruction. */
static void test_single_step(void)
{
    Store store = { 0 };
    X86Rig rig;

    prepare(&rig, &store, DEVICE);
    memcpy(store.bytes, (uint8_t[]){ 0xff, 0xc3, 0xff, 0xc3 }, 4); /* inc ebx, twice */
    rig.cpu->gpr[X86_RBX] = 0;
    x86_set_eflags(rig.cpu, EFLAGS_TF, EFLAGS_TF);
    x86_rig_run(&rig, DEVICE);
    g_assert_cmphex(rig.end_value, ==, X86_DB);
    g_assert_cmphex(load_le64(x86_rig_frame(&rig, CATCHER)), ==, DEVICE + 2);
    g_assert_cmphex(rig.cpu->gpr[X86_RBX], ==, 1);
    finish(&rig, &store);
}

/* Each CPU executes what it has read itself: here, another constant. */
static void test_two_cpus(void)
{
    static const uint8_t code[] = {
        0xb9, 0x10, 0x27, 0, 0, /* 00 mov ecx, 10000 */
        0xb8, 0,    0,    0, 0, /* 05 mov eax, CPU */
        0x39, 0xf0,             /* 0a cmp eax, esi */
        0x75, 0x0c,             /* 0c jne 1a */
        0xe2, 0xf5,             /* 0e loop 05 */
        0xf0, 0xff, 0x07,       /* 10 lock inc dword [rdi] */
        0x83, 0x3f, 2,          /* 13 cmp dword [rdi], 2 */
        0x75, 0xfb,             /* 16 jne 13 */
        0x90, 0x90,             /* 18 nop */
        END,                    /* 1a */
    };
    Store store = { .counting = 6, .own = true };
    X86Rig rig;
    X86Cpu *second;

    prepare(&rig, &store, DEVICE);
    memcpy(store.bytes, code, sizeof code);
    second = x86_cpu(rig.machine->vcpus->pdata[1]);
    x86_rig_long_mode_cpu(&rig, second);
    second->wait_for_sipi = false;
    atomic_store(&second->vcpu.halted, false);
    second->gpr[X86_RSI] = 1;
    second->gpr[X86_RDI] = rig.cpu->gpr[X86_RDI] = CODE;
    rig.cpu->gpr[X86_RSI] = 0;
    tcg_set_pc(&second->tcg, DEVICE);
    x86_rig_run(&rig, DEVICE);
    g_assert_cmphex(load_le32(rig.ram + CODE), ==, 2);
    finish(&rig, &store);
}

/* A64, where RAM and a device are flat. */
static void test_a64(void)
{
    static const uint32_t code[] = {
        0xd2800001, /* 00 mov x1, #0 */
        0xd2800062, /* 04 mov x2, #3 */
        0x91000421, /* 08 add x1, x1, #1 */
        0xd63f0060, /* 0c blr x3 */
        0xf1000442, /* 10 subs x2, x2, #1 */
        0x54ffffa1, /* 14 b.ne 08 */
        0x52800100, /* 18 mov w0, #8 */
        0x72b08000, /* 1c movk w0, #0x8400, lsl #16 */
        0xd4000002, /* 20 hvc #0 */
    };
    static const uint32_t start[] = { 0xd2a10004 /* mov x4, #DEVICE */, 0x10000063 /* adr x3, 10 */,
                                      0xd61f0080 /* br x4 */,           0xd503201f /* nop */,
                                      0x91004021 /* add x1, x1, #16 */, 0xd65f03c0 /* ret */ };
    Store store = { 0 };
    IsaRig rig;

    if (!isa_rig_open(&rig, "max", 1, interp)) {
        exit(77);
    }
    add_store(rig.machine, &store, DEVICE);
    memcpy(store.bytes, code, sizeof code);
    memcpy(rig.ram, start, sizeof start);
    isa_rig_run_bare(&rig);
    g_assert_cmphex(rig.cpu->x[1], ==, 3 * 17);
    g_assert_cmpuint(store.reads[8], ==, 3);
    g_assert_cmpuint(store.reads[0x18], ==, 1);
    memory_region_remove(&store.region);
    isa_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/device-code/loop", test_loop);
    g_test_add_func("/device-code/bytes-change", test_bytes_change);
    g_test_add_func("/device-code/borders", test_borders);
    g_test_add_func("/device-code/refused", test_refused);
    g_test_add_func("/device-code/rom", test_rom);
    g_test_add_func("/device-code/single-step", test_single_step);
    g_test_add_func("/device-code/two-cpus", test_two_cpus);
    g_test_add_func("/device-code/a64", test_a64);
    return g_test_run();
}
