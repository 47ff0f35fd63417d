/* SPDX-License-Identifier: MIT */
/*
 * Single instructions of a real 80286 in real mode (SingleStepTests/80286), against the x86 target.
 * usage: test-80286 [-i] FILE.jsonl.xz [STEP]     (-i: on the interpreter; every STEPth test)
 */
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "target/i386/control.h"
#include "tests/isa/rig-x86.h"
#include "tests/patience.h"

enum { MAX_RAM = 512, FLAGS_MASK = 0xed5, MAX_LENGTH_286 = 10 };

typedef struct {
    uint32_t address;
    uint8_t value;
} Byte;

typedef struct {
    const char *name, *op, *bytes;
    uint32_t initial[14], final[14];
    Byte before[MAX_RAM], after[MAX_RAM];
    unsigned before_count, after_count;
    uint32_t flag_address; /* of flags that an exception pushed; 0: none */
    unsigned vector;
} Test;

static const char *const registers[] = { "ax", "bx", "cx", "dx", "cs", "ss", "ds",
                                         "es", "sp", "bp", "si", "di", "ip", "flags" };
static const uint8_t gprs[] = { [0] = X86_RAX, [1] = X86_RBX, [2] = X86_RCX,  [3] = X86_RDX,
                                [8] = X86_RSP, [9] = X86_RBP, [10] = X86_RSI, [11] = X86_RDI };
static const uint8_t segments[] = { [4] = X86_CS, [5] = X86_SS, [6] = X86_DS, [7] = X86_ES };

static X86Rig rig;

static void read_registers(json_t *from, uint32_t *to)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++) {
        json_t *value = json_object_get(from, registers[i]);

        if (value) {
            to[i] = (uint32_t)json_integer_value(value);
        }
    }
}

static unsigned read_ram(json_t *from, Byte *to)
{
    json_t *entry;
    size_t i;

    g_assert_cmpuint(json_array_size(from), <=, MAX_RAM);
    json_array_foreach(from, i, entry)
    {
        to[i] = (Byte){ (uint32_t)json_integer_value(json_array_get(entry, 0)),
                        (uint8_t)json_integer_value(json_array_get(entry, 1)) };
    }
    return (unsigned)json_array_size(from);
}

static void parse(Test *t, json_t *json)
{
    json_t *initial = json_object_get(json, "initial"), *final = json_object_get(json, "final");
    json_t *exception = json_object_get(json, "exception");

    t->name = json_string_value(json_object_get(json, "name"));
    t->op = json_string_value(json_object_get(json, "op"));
    t->bytes = json_string_value(json_object_get(json, "bytes"));
    read_registers(json_object_get(initial, "regs"), t->initial);
    memcpy(t->final, t->initial, sizeof t->final);
    read_registers(json_object_get(final, "regs"), t->final);
    t->before_count = read_ram(json_object_get(initial, "ram"), t->before);
    t->after_count = read_ram(json_object_get(final, "ram"), t->after);
    t->flag_address = (uint32_t)json_integer_value(json_object_get(exception, "flag_address"));
    t->vector = (unsigned)json_integer_value(json_object_get(exception, "number"));
}

/* On the vCPU's thread. */
static void prepare(Vcpu *vcpu, void *opaque)
{
    const Test *t = opaque;
    X86Cpu *cpu = rig.cpu;

    for (unsigned i = 0; i < t->before_count; i++) {
        address_space_write(vcpu->memory, t->before[i].address, t->before[i].value, 1,
                            (MemoryAttributes){ 0 });
    }
    if (t->vector == X86_GP) {
        uint64_t handler;

        /* Later processors raise #SS where the stack is concerned. */
        address_space_read(vcpu->memory, 4 * X86_GP, &handler, 4, (MemoryAttributes){ 0 });
        address_space_write(vcpu->memory, 4 * X86_SS_FAULT, handler, 4, (MemoryAttributes){ 0 });
    }
    for (unsigned i = 0; i < 14; i++) {
        if (i >= 4 && i < 8) {
            x86_set_segment(cpu, (X86SegmentName)segments[i], (uint16_t)t->initial[i],
                            (uint64_t)t->initial[i] << 4, 0xffff, cpu->seg[segments[i]].flags);
        } else if (i < 12) {
            cpu->gpr[gprs[i]] = t->initial[i];
        }
    }
    x86_set_eflags(cpu, t->initial[13] & 0xfff, 0xffff & ~(uint64_t)EFLAGS_TF);
    x86_update_context(cpu);
    x86_set_eip(cpu, t->initial[12]);
    atomic_store(&vcpu->halted, false);
}

/* false: it does not come to its end. */
static bool wait_for_halt(Vcpu *vcpu)
{
    gint64 end = patience_end(20);

    while (!atomic_load(&vcpu->halted) || !atomic_load(&vcpu->sleeping)) {
        if (g_get_monotonic_time() > end) {
            return false;
        }
        sched_yield();
    }
    return true;
}

/*
 * The 80286 has no invalid LOCK prefixes, at most 10 bytes to an instruction, and leaves string
 * instructions that fault with their pointers moved. It has no FS and GS, and far pointers in memory that begin in the
 * last word of a segment wrap.
 */
static bool is_of_the_286_alone(const Test *t)
{
    bool string = t->op[0] == 'A' ? t->op[1] >= '4' && t->op[1] != '8' && t->op[1] != '9'
                                  : t->op[0] == '6' && t->op[1] >= 'C';

    static const char *const wrapping[] = { "ff1bf4", "2e26ff2af4" };

    for (unsigned i = 0; i < G_N_ELEMENTS(wrapping); i++) {
        if (strcmp(t->bytes, wrapping[i]) == 0 && !t->vector) {
            return true;
        }
    }
    return strstr(t->name, "lock") || strstr(t->name, ",fs") || strstr(t->name, "mov fs") ||
           strstr(t->name, ",gs") || strstr(t->name, "mov gs") || strcmp(t->name, "aam 0") == 0 ||
           strlen(t->bytes) / 2 - 1 > MAX_LENGTH_286 || (string && t->vector);
}

/* Flags that the manuals leave undefined, by opcode. */
static uint32_t undefined_flags(const Test *t)
{
    static const struct {
        const char *op;
        uint32_t flags;
    } table[] = {
        { "20", 0x10 },    { "21", 0x10 },    { "22", 0x10 },    { "23", 0x10 },
        { "24", 0x10 },    { "25", 0x10 },    { "08", 0x10 },    { "09", 0x10 },
        { "0A", 0x10 },    { "0B", 0x10 },    { "0C", 0x10 },    { "0D", 0x10 },
        { "30", 0x10 },    { "31", 0x10 },    { "32", 0x10 },    { "33", 0x10 },
        { "34", 0x10 },    { "35", 0x10 },    { "80.1", 0x10 },  { "80.4", 0x10 },
        { "80.6", 0x10 },  { "81.1", 0x10 },  { "81.4", 0x10 },  { "81.6", 0x10 },
        { "82.1", 0x10 },  { "82.4", 0x10 },  { "82.6", 0x10 },  { "83.1", 0x10 },
        { "83.4", 0x10 },  { "83.6", 0x10 },  { "84", 0x10 },    { "85", 0x10 },
        { "A8", 0x10 },    { "A9", 0x10 },    { "F6.0", 0x10 },  { "F6.1", 0x10 },
        { "F7.0", 0x10 },  { "F7.1", 0x10 },  { "27", 0x800 },   { "2F", 0x800 },
        { "37", 0x8c4 },   { "3F", 0x8c4 },   { "D4", 0x811 },   { "D5", 0x811 },
        { "F6.4", 0xd4 },  { "F6.5", 0xd4 },  { "F7.4", 0xd4 },  { "F7.5", 0xd4 },
        { "69", 0xd4 },    { "6B", 0xd4 },    { "F6.6", 0x8d5 }, { "F6.7", 0x8d5 },
        { "F7.6", 0x8d5 }, { "F7.7", 0x8d5 },
    };
    bool shift =
        t->op[0] == 'C' ? t->op[1] == '0' || t->op[1] == '1' : t->op[0] == 'D' && t->op[1] <= '3';

    if (shift && t->op[2] == '.') {
        return t->op[3] < '4' ? 0x800 : 0x811;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        if (strcmp(table[i].op, t->op) == 0) {
            return table[i].flags;
        }
    }
    return 0;
}

static bool memory_differs(const Test *t, uint32_t undefined)
{
    for (unsigned i = 0; i < t->after_count; i++) {
        uint32_t address = t->after[i].address;
        uint8_t got = rig.ram[address], mask = 0xff;

        if (t->flag_address && address == t->flag_address) {
            mask = (uint8_t)~undefined & 0xd5;
        } else if (t->flag_address && address == t->flag_address + 1) {
            mask = (uint8_t)(~undefined >> 8) & 0x0f;
        }
        if (undefined == EFLAGS_STATUS) {
            mask = 0; /* a division error, which pushes flags that are undefined */
        }
        if ((got ^ t->after[i].value) & mask) {
            printf("  [%05x]: chip %02x got %02x\n", address, t->after[i].value, got);
            return true;
        }
    }
    return false;
}

static bool differs(const Test *t)
{
    const X86Cpu *cpu = rig.cpu;
    uint32_t undefined = undefined_flags(t), got[14];
    bool bad = false;

    for (unsigned i = 0; i < 14; i++) {
        got[i] = i >= 4 && i < 8 ? cpu->seg[segments[i]].selector
                 : i < 12        ? (uint16_t)cpu->gpr[gprs[i]]
                 : i == 12       ? (uint16_t)x86_eip(cpu)
                                 : (uint32_t)x86_get_eflags(cpu);
    }
    for (unsigned i = 0; i < 13; i++) {
        if (got[i] != (uint16_t)t->final[i]) {
            printf("  %s: chip %04x got %04x (before %04x)\n", registers[i], t->final[i], got[i],
                   t->initial[i]);
            bad = true;
        }
    }
    if ((got[13] ^ t->final[13]) & FLAGS_MASK & ~undefined) {
        printf("  flags: chip %04x got %04x (before %04x)\n", t->final[13], got[13],
               t->initial[13]);
        bad = true;
    }
    return memory_differs(t, undefined) || bad;
}

static bool run(json_t *json)
{
    static Test t;
    Vcpu *vcpu = &rig.cpu->vcpu;

    parse(&t, json);
    if (is_of_the_286_alone(&t)) {
        return true;
    }
    vcpu_run_work(vcpu, prepare, &t);
    if (!wait_for_halt(vcpu)) {
        g_error("%s: %s (%s) does not end", t.op, t.name, t.bytes);
    }
    if (!differs(&t)) {
        return true;
    }
    printf("%s: %s (%s)%s\n", t.op, t.name, t.bytes, t.vector ? " exception" : "");
    return false;
}

int main(int argc, char **argv)
{
    bool interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_autofree char *command = NULL;
    unsigned step, count = 0, tried = 0, bad = 0;
    char *line = NULL;
    size_t size = 0;
    FILE *file;

    argv += interp;
    argc -= interp;
    if (argc < 2 || !g_file_test(argv[1], G_FILE_TEST_EXISTS)) {
        printf("SKIP: the data of a real 80286 is not there (../shared/data)\n");
        return 77;
    }
    step = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    command = g_strdup_printf("xz -dc '%s'", argv[1]);
    file = popen(command, "r"); /* NOLINT(cert-env33-c): the path is the build's */
    if (!file || !x86_rig_open(&rig, "max", interp)) {
        return 77;
    }
    atomic_store(&rig.cpu->vcpu.halted, true);
    machine_start(rig.machine);
    machine_unlock(rig.machine);
    while (getline(&line, &size, file) > 0 && bad < 40) {
        json_t *json;

        if (count++ % step) {
            continue;
        }
        json = json_loads(line, 0, NULL);
        g_assert_nonnull(json);
        tried++;
        bad += !run(json);
        json_decref(json);
    }
    pclose(file);
    free(line);
    printf("%u instructions, %u disagree\n", tried, bad);
    machine_lock(rig.machine);
    machine_stop(rig.machine, STOP_PAUSED);
    x86_rig_close(&rig);
    return bad != 0;
}
