/* SPDX-License-Identifier: MIT */
/*
 * CPUID of all models. Arguments: files with leaves as guests of QEMU 11.1 read them, NAME.txt for model NAME. What both
 * this translator and QEMU's know of features must be the same, everything else equal.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "machine/arch/x86.h"
#include "target/i386/control.h"
#include "target/i386/models.h"

typedef struct {
    Device device;
} Bare;

static bool build(Machine *machine, void *instance, GError **error)
{
    return machine_create_vcpus(machine, error);
}

static const Board bare = {
    .name = "bare", .instance_size = sizeof(Bare), .build = build, .max_vcpus = 64
};

/* cpu: NAME,property=value,… cores: of a module */
static Machine *try_open_layout(const Target *target, const char *cpu, unsigned sockets,
                                unsigned dies, unsigned modules, unsigned cores, unsigned threads,
                                GError **error)
{
    g_auto(GStrv) parts = g_strsplit(cpu, ",", 0);
    MachineConfig config = { .target = target,
                             .board = &bare,
                             .vcpus = sockets * dies * modules * cores * threads,
                             .sockets = sockets,
                             .dies = dies,
                             .modules = modules,
                             .cores = dies * modules * cores,
                             .threads = threads,
                             .ram_bytes = 1 << 20,
                             .cpu_model = cpu_model_get(target, parts[0], error),
                             .rtc_base_s = INT64_MIN };
    Machine *machine;

    if (!config.cpu_model) {
        return NULL;
    }
    config.cpu_options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (unsigned i = 1; parts[i]; i++) {
        char *equals = strchr(parts[i], '=');

        if (equals) {
            *equals = '\0';
        }
        g_hash_table_insert(config.cpu_options, g_strdup(parts[i]),
                            g_strdup(equals ? equals + 1 : "on"));
    }
    machine = machine_new(&config);
    if (!machine_build(machine, error)) {
        machine_free(machine);
        return NULL;
    }
    return machine;
}

static Machine *try_open(const Target *target, const char *cpu, unsigned sockets, unsigned cores,
                         unsigned threads, GError **error)
{
    return try_open_layout(target, cpu, sockets, 1, 1, cores, threads, error);
}

static X86Cpu *cpu_of(Machine *machine, unsigned index)
{
    return x86_cpu(machine->vcpus->pdata[index]);
}

static Machine *open_one(const char *cpu)
{
    g_autoptr(GError) error = NULL;
    Machine *machine = try_open(&x86_64_target, cpu, 1, 1, 1, &error);

    g_assert_no_error(error);
    return machine;
}

static void check_leaf(Machine *machine, unsigned index, uint32_t leaf, uint32_t subleaf,
                       uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    const uint32_t wanted[4] = { eax, ebx, ecx, edx };
    uint32_t got[4];

    x86_cpuid(cpu_of(machine, index), leaf, subleaf, got);
    if (memcmp(got, wanted, sizeof got)) {
        g_error("CPU %u, leaf %x.%x: %08x %08x %08x %08x, not %08x %08x %08x %08x", index, leaf,
                subleaf, got[0], got[1], got[2], got[3], eax, ebx, ecx, edx);
    }
}

/* Comparison with recorded leaves. */

typedef struct {
    uint32_t leaf, subleaf, reg[4];
} Recorded;

static GArray *read_recorded(const char *path)
{
    GArray *out = g_array_new(false, false, sizeof(Recorded));
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (char **line = lines; *line; line++) {
        Recorded r;

        if (sscanf(*line, "%8x.%2x eax=%x ebx=%x ecx=%x edx=%x", &r.leaf, &r.subleaf, &r.reg[0],
                   &r.reg[1], &r.reg[2], &r.reg[3]) == 6) {
            g_array_append_val(out, r);
        }
    }
    return out;
}

static const Recorded *find_recorded(const GArray *all, uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = 0; i < all->len; i++) {
        const Recorded *r = &g_array_index(all, Recorded, i);

        if (r->leaf == leaf && r->subleaf == subleaf) {
            return r;
        }
    }
    return NULL;
}

/* Which bits of a leaf's register are features, by word. */
static const struct {
    uint32_t leaf, subleaf;
    unsigned reg;
    X86FeatureWord word;
} feature_registers[] = {
    { 1, 0, 3, X86_WORD_1_EDX },
    { 1, 0, 2, X86_WORD_1_ECX },
    { 7, 0, 1, X86_WORD_7_0_EBX },
    { 7, 0, 2, X86_WORD_7_0_ECX },
    { 7, 0, 3, X86_WORD_7_0_EDX },
    { 7, 1, 0, X86_WORD_7_1_EAX },
    { 6, 0, 0, X86_WORD_6_EAX },
    { 0xd, 1, 0, X86_WORD_D_1_EAX },
    { 0x80000001, 0, 3, X86_WORD_8000_0001_EDX },
    { 0x80000001, 0, 2, X86_WORD_8000_0001_ECX },
    { 0x80000007, 0, 3, X86_WORD_8000_0007_EDX },
    { 0x80000008, 0, 1, X86_WORD_8000_0008_EBX },
    { 0x8000000a, 0, 3, X86_WORD_8000_000A_EDX },
    { 0x80000021, 0, 0, X86_WORD_8000_0021_EAX },
};

/* Bits to compare: all, or of feature words what both translators have. */
static uint32_t comparable(const GArray *theirs_at_most, uint32_t leaf, uint32_t subleaf,
                           unsigned reg)
{
    for (size_t i = 0; i < G_N_ELEMENTS(feature_registers); i++) {
        if (feature_registers[i].leaf == leaf && feature_registers[i].subleaf == subleaf &&
            feature_registers[i].reg == reg) {
            const Recorded *most = find_recorded(theirs_at_most, leaf, subleaf);

            return most ? most->reg[reg] & x86_supported_features[feature_registers[i].word] : 0;
        }
    }
    return UINT32_MAX;
}

/* Sizes of components that depend on what either has, and what follows from SVM. */
static bool differs_rightly(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    return (leaf == 0xd && (subleaf > 2 || !x86_has(cpu, X86_FEATURE_AVX))) ||
           (leaf == 0xd && subleaf < 2 && reg != 0 && cpu->x86_model->everything) ||
           (leaf == 0xd && subleaf == 0 && cpu->x86_model->everything) || leaf == 0x8000000a ||
           (leaf == 7 && subleaf == 0 && reg == 0) ||
           (leaf == 0 && reg == 0 && cpu->x86_model->everything);
}

static void check_file(const char *path, const GArray *most)
{
    g_autofree char *base = g_path_get_basename(path);
    g_autoptr(GArray) recorded = read_recorded(path);
    Machine *machine;
    X86Cpu *cpu;

    *strrchr(base, '.') = '\0';
    machine = open_one(base);
    cpu = cpu_of(machine, 0);
    cpu->xcr0 = x86_xcr0_mask(cpu);
    cpu->efer = x86_has(cpu, X86_FEATURE_LM) ? EFER_LME | EFER_LMA : 0; /* as they were read */
    g_assert_cmpuint(recorded->len, >, 10);
    for (unsigned i = 0; i < recorded->len; i++) {
        const Recorded *r = &g_array_index(recorded, Recorded, i);
        bool there = r->leaf <= cpu->level || r->leaf >> 28 == 4 ||
                     (r->leaf >= 0x80000000 && r->leaf <= cpu->xlevel);
        uint32_t leaf = there ? r->leaf : cpu->level, got[4];

        x86_cpuid(cpu, r->leaf, r->subleaf, got);
        for (unsigned reg = 0; reg < 4; reg++) {
            uint32_t mask = comparable(most, leaf, r->subleaf, reg);

            mask &= leaf == 1 && reg == 2 ? ~(1u << 27) : UINT32_MAX; /* OSXSAVE: CR4's */
            if (leaf == 0x80000001 && reg == 3 && cpu->x86_model->everything) {
                mask &= ~(3u << 30); /* 3DNow! is there by name only */
            }
            if (((got[reg] ^ r->reg[reg]) & mask) && !differs_rightly(cpu, leaf, r->subleaf, reg)) {
                g_error("%s, leaf %08x.%x, register %u: %08x, recorded %08x", base, r->leaf,
                        r->subleaf, reg, got[reg], r->reg[reg]);
            }
        }
    }
    machine_free(machine);
}

static void test_recorded(gconstpointer data)
{
    char *const *paths = data;
    g_autoptr(GArray) most = NULL;

    if (!paths[0] || !g_file_test(paths[0], G_FILE_TEST_EXISTS)) {
        g_test_skip("no recorded leaves are there");
        return;
    }
    for (char *const *path = paths; *path; path++) {
        if (g_str_has_suffix(*path, "/max.txt")) {
            most = read_recorded(*path);
        }
    }
    g_assert_nonnull(most);
    for (char *const *path = paths; *path; path++) {
        check_file(*path, most);
    }
}

/* Topology, as the same leaves of QEMU 11.1 have it with -smp 8,sockets=2,cores=2,threads=2. */
static void test_topology(void)
{
    Machine *intel = try_open(&x86_64_target, "Nehalem", 2, 2, 2, NULL);
    Machine *amd = try_open(&x86_64_target, "EPYC,check=off", 2, 2, 2, NULL);
    Machine *odd = try_open(&x86_64_target, "Penryn,check=off,level=11", 2, 3, 1, NULL);
    uint32_t out[4];

    check_leaf(intel, 0, 4, 0, 0x04004121, 0x01c0003f, 0x3f, 1);
    check_leaf(intel, 0, 4, 2, 0x04004143, 0x03c0003f, 0xfff, 1);
    check_leaf(intel, 0, 4, 3, 0x0400c163, 0x03c0003f, 0x3fff, 6);
    check_leaf(intel, 0, 4, 4, 0, 0, 0, 0);
    check_leaf(intel, 7, 0xb, 0, 1, 2, 0x100, 7);
    check_leaf(intel, 7, 0xb, 1, 2, 4, 0x201, 7);
    check_leaf(intel, 7, 0xb, 2, 0, 0, 2, 7);
    check_leaf(intel, 7, 0x80000008, 0, 0x3028, 0, 0, 0);
    x86_cpuid(cpu_of(intel, 6), 1, 0, out);
    g_assert_cmphex(out[1], ==, 0x06040800);
    g_assert_cmphex(out[3] & 1u << 28, !=, 0);
    check_leaf(amd, 0, 0x8000001d, 0, 0x4121, 0x01c0003f, 0x3f, 1);
    check_leaf(amd, 0, 0x8000001d, 2, 0x4043, 0x01c0003f, 0x3ff, 0);
    check_leaf(amd, 0, 0x8000001d, 3, 0xc163, 0x03c0003f, 0x1fff, 2);
    check_leaf(amd, 7, 0x8000001e, 0, 7, 0x101, 1, 0);
    x86_cpuid(cpu_of(amd, 7), 0x80000008, 0, out);
    g_assert_cmphex(out[2], ==, 0x2003);
    x86_cpuid(cpu_of(amd, 7), 0x80000001, 0, out);
    g_assert_cmphex(out[2] & 2, ==, 2);
    /* Fields of an APIC id are whole bits. */
    check_leaf(odd, 3, 0xb, 1, 2, 3, 0x201, 4);
    g_assert_cmpuint(cpu_of(odd, 5)->topology.apic_id, ==, 6);
    machine_free(intel);
    machine_free(amd);
    machine_free(odd);
}

/* Dies and modules, as guests of QEMU 11.1 read them. */
static void test_dies(void)
{
    Machine *intel = try_open_layout(&x86_64_target, "Haswell,check=off", 2, 3, 2, 2, 1, NULL);
    Machine *shared =
        try_open_layout(&x86_64_target, "SierraForest-v3,check=off", 1, 2, 2, 2, 1, NULL);
    Machine *amd = try_open_layout(&x86_64_target, "EPYC,check=off", 1, 2, 1, 3, 2, NULL);
    uint32_t out[4];

    x86_cpuid(cpu_of(intel, 0), 0, 0, out);
    g_assert_cmphex(out[0], ==, 0x1f);
    x86_cpuid(cpu_of(intel, 23), 1, 0, out);
    g_assert_cmphex(out[1], ==, 0x1b100800); /* 16 ids set aside for 12 CPUs of a package */
    check_leaf(intel, 0, 4, 3, 0x3c00c163, 0x03c0003f, 0x3fff, 6);
    check_leaf(intel, 23, 0xb, 0, 0, 1, 0x100, 0x1b);
    check_leaf(intel, 23, 0xb, 1, 4, 12, 0x201, 0x1b);
    check_leaf(intel, 23, 0x1f, 0, 0, 1, 0x100, 0x1b);
    check_leaf(intel, 23, 0x1f, 1, 1, 2, 0x201, 0x1b);
    check_leaf(intel, 23, 0x1f, 2, 2, 4, 0x302, 0x1b);
    check_leaf(intel, 23, 0x1f, 3, 4, 12, 0x503, 0x1b);
    check_leaf(intel, 23, 0x1f, 4, 0, 0, 4, 0x1b);
    x86_cpuid(cpu_of(shared, 0), 4, 2, out); /* the second level of a module's */
    g_assert_cmphex(out[0] >> 14 & 0xfff, ==, 1);
    x86_cpuid(cpu_of(shared, 0), 4, 3, out); /* and the third of a package's */
    g_assert_cmphex(out[0] >> 14 & 0xfff, ==, 7);
    x86_cpuid(cpu_of(amd, 0), 0, 0, out);
    g_assert_cmphex(out[0], ==, 0xd);
    x86_cpuid(cpu_of(amd, 11), 1, 0, out);
    g_assert_cmphex(out[1], ==, 0x0d0c0800);
    check_leaf(amd, 11, 0x8000001d, 3, 0x1c163, 0x03c0003f, 0x1fff, 2);
    check_leaf(amd, 11, 0x8000001e, 0, 13, 0x102, 0, 0);
    x86_cpuid(cpu_of(amd, 11), 0x80000008, 0, out);
    g_assert_cmphex(out[2], ==, 0x400b);
    machine_free(intel);
    machine_free(shared);
    machine_free(amd);
}

/* What programs are told of the model (query-cpu-model-expansion) is what its CPUs are. */
static void assert_as_sample(const X86Cpu *cpu, const CpuModel *model)
{
    Vcpu *vcpu = cpu_model_sample(model, NULL, NULL);
    const X86Cpu *sample = x86_cpu(vcpu);

    g_assert_cmpmem(sample->features, sizeof sample->features, cpu->features, sizeof cpu->features);
    g_assert_cmpstr(sample->vendor, ==, cpu->vendor);
    g_assert_cmpstr(sample->model_id, ==, cpu->model_id);
    g_assert_cmphex(sample->level, ==, cpu->level);
    g_assert_cmphex(sample->xlevel, ==, cpu->xlevel);
    g_assert_cmpuint(sample->family, ==, cpu->family);
    g_assert_cmpuint(sample->stepping, ==, cpu->stepping);
    cpu_model_sample_free(vcpu);
}

/* Every name of the tables is known, every model starts, and aliases are what they stand for. */
static void test_all_models(void)
{
    const CpuModel *const *it;
    unsigned count = 0;

    REGISTRY_FOREACH(cpu_models, it) {
        const CpuModel *model = *it;
        g_autofree char *text = g_strdup_printf("%s,check=off", model->name);
        g_autoptr(GError) error = NULL;
        Machine *machine;

        if (model->target != &x86_64_target && model->target != &i386_target) {
            continue;
        }
        machine = try_open(model->target, text, 1, 1, 1, &error);
        if (strcmp(model->name, "host") == 0) { /* needs the host's processor to run on */
            g_assert_null(machine);
            g_assert_error(error, KASO_ERROR, KASO_ERROR_UNSUPPORTED);
            continue;
        }
        g_assert_no_error(error);
        assert_as_sample(cpu_of(machine, 0), model);
        machine_free(machine);
        count++;
    }
    g_assert_cmpuint(count, >=, 2 * 180);
}

/* What few models show. */
static void test_peculiarities(void)
{
    Machine *nehalem = open_one("Nehalem-v2,check=off"), *other = open_one("YongFeng,check=off");
    Machine *atom = open_one("n270,check=off"), *hygon = open_one("Dhyana,check=off");
    uint32_t out[4];

    x86_cpuid(cpu_of(nehalem, 0), 0x80000004, 0, out); /* a name of 48 characters */
    g_assert_cmphex(out[3], ==, 0x29657461);
    x86_cpuid(cpu_of(nehalem, 0), 0x80000001, 0, out); /* SYSCALL outside of long mode */
    g_assert_cmphex(out[3] & 1 << 11, ==, 0);
    cpu_of(nehalem, 0)->efer = EFER_LMA;
    x86_cpuid(cpu_of(nehalem, 0), 0x80000001, 0, out);
    g_assert_cmphex(out[3] & 1 << 11, !=, 0);
    x86_cpuid(cpu_of(other, 0), 0x80000000, 0, out);
    g_assert_cmphex(out[1], ==, 0);
    x86_cpuid(cpu_of(atom, 0), 0x80000008, 0, out);
    g_assert_cmphex(out[0], ==, 36);
    x86_cpuid(cpu_of(hygon, 0), 4, 3, out);
    g_assert_cmphex(out[3], ==, 6);
    x86_cpuid(cpu_of(hygon, 0), 0x8000001d, 3, out);
    g_assert_cmphex(out[3], ==, 2);
    machine_free(nehalem);
    machine_free(other);
    machine_free(atom);
    machine_free(hygon);
}

static bool read_base(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
    *value = *(const uint64_t *)opaque;
    return true;
}

/* A local APIC that its base register has turned off is not told of. */
static void test_apic_that_is_off(void)
{
    static const ExternalRegister registers[] = {
        { X86_REGISTER_APIC_BASE, "apic_base", read_base, NULL },
        { 0 },
    };
    enum { APIC = 1 << 9, ENABLE = 1 << 11 };
    Machine *amd = open_one("EPYC");
    uint64_t base = 0xfee00000;
    uint32_t out[4];

    machine_add_external_registers(amd, registers, &base);
    for (unsigned on = 0; on < 2; on++) {
        base = 0xfee00000 | (on ? ENABLE : 0);
        x86_cpuid(cpu_of(amd, 0), 1, 0, out);
        g_assert_cmpuint(out[3] & APIC, ==, on ? APIC : 0);
        x86_cpuid(cpu_of(amd, 0), 0x80000001, 0, out);
        g_assert_cmpuint(out[3] & APIC, ==, on ? APIC : 0);
    }
    machine_free(amd);
}

/* INVPCID is not offered without PCID, even when it is asked for. */
static void test_invpcid_needs_pcid(void)
{
    static const struct {
        const char *cpu;
        bool there;
    } cases[] = { { "qemu64,pcid=on,invpcid=on", true },
                  { "qemu64,pcid=off,invpcid=off", false },
                  { "qemu64,pcid=off,invpcid=on", false },
                  { "max,pcid=off", false } };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *quiet = g_strconcat(cases[i].cpu, ",check=off", NULL);
        Machine *machine = open_one(quiet);

        g_assert_cmpint(x86_has(cpu_of(machine, 0), X86_FEATURE_INVPCID), ==, cases[i].there);
        machine_free(machine);
    }
}

static void test_properties(void)
{
    uint32_t out[4];
    Machine *m =
        open_one("Nehalem,popcnt=off,bmi1=on,nx=off,vendor=AuthenticAMD,family=21,model=0x23,"
                 "stepping=2,level=7,xlevel=0x80000001,phys-bits=36,model-id=Mine,"
                 "l3-cache=off,tcg-cpuid=off,migratable=no,kvm=off,check=off");

    g_assert_false(x86_has(cpu_of(m, 0), X86_FEATURE_POPCNT));
    x86_cpuid(cpu_of(m, 0), 0, 0, out);
    g_assert_cmphex(out[0], ==, 7);
    g_assert_cmpmem(&out[1], 4, "Auth", 4);
    x86_cpuid(cpu_of(m, 0), 1, 0, out);
    g_assert_cmphex(out[0], ==, 0x00620f32);
    x86_cpuid(cpu_of(m, 0), 0x80000000, 0, out);
    g_assert_cmphex(out[0], ==, 0x80000001);
    check_leaf(m, 0, 0x40000000, 0, 0, 0, 0, 0);
    g_assert_cmpuint(cpu_of(m, 0)->phys_bits, ==, 36);
    machine_free(m);
    /* A feature that needs a leaf raises the highest one. */
    m = open_one("core2duo,check=off,level=0xffffffff,smep=on,invtsc=off,clzero=on");
    x86_cpuid(cpu_of(m, 0), 0, 0, out);
    g_assert_cmphex(out[0], ==, 10);
    machine_free(m);
    m = open_one("pentium3,smep=on");
    x86_cpuid(cpu_of(m, 0), 0, 0, out);
    g_assert_cmphex(out[0], ==, 7);
    machine_free(m);
    m = open_one("max,tsc-frequency=2400000000");
    g_assert_cmpuint(x86_tsc_at(cpu_of(m, 0), 1000), ==, 2400);
    g_assert_cmpuint(x86_tsc_at(cpu_of(m, 0), INT64_MAX / 2), >, UINT64_C(1) << 62);
    machine_free(m);
}

static void check_refused(const char *cpu, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(try_open(&x86_64_target, cpu, 1, 1, 1, &error));
    g_assert_nonnull(strstr(error->message, words));
}

/* Hyper-V's interfaces are not the processor's: without KVM a warning tells that they are not there. */
static void test_enforced(void)
{
    machine_free(open_one("qemu64,hv-relaxed=on,hv-spinlocks=8191,enforce=on"));
    check_refused("qemu64,hv-relaxed=on,vmx=on,enforce=on", "vmx");
}

static void test_refused(void)
{
    check_refused("Haswell,enforce=on", "hle");
    check_refused("qemu64,vmx=on,enforce=on", "vmx");
    check_refused("qemu64,vendor=short", "12 characters");
    check_refused("qemu64,family=999", "270");
    check_refused("qemu64,phys-bits=60", "between 32 and 52");
    check_refused("pentium,phys-bits=40", "32 bit");
    check_refused("qemu64,no-such-thing=on", "no-such-thing");
    check_refused("host", "-accel kvm");
    check_refused("Haswel", "Haswell");
}

/* One line tells all that is left out, however many processors there are. */
static void test_warning(void)
{
    if (g_test_subprocess()) {
        machine_free(try_open(&x86_64_target, "Haswell,hv-relaxed=on,vmx-ept=on,hv-spinlocks=8191",
                              1, 2, 1, NULL));
        machine_free(open_one("486,avx512f=off"));
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*CPU 'Haswell' *hle, rtm*");
    g_test_trap_assert_stderr("*, vmx-ept*");
    g_test_trap_assert_stderr("*, hv-relaxed*");
    g_test_trap_assert_stderr("*, hv-spinlocks*");
    g_test_trap_assert_stderr_unmatched("*warning*warning*");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/cpuid/recorded", argv + 1, test_recorded);
    g_test_add_func("/cpuid/topology", test_topology);
    g_test_add_func("/cpuid/dies", test_dies);
    g_test_add_func("/cpuid/all-models", test_all_models);
    g_test_add_func("/cpuid/peculiarities", test_peculiarities);
    g_test_add_func("/cpuid/apic-that-is-off", test_apic_that_is_off);
    g_test_add_func("/cpuid/invpcid-needs-pcid", test_invpcid_needs_pcid);
    g_test_add_func("/cpuid/properties", test_properties);
    g_test_add_func("/cpuid/refused", test_refused);
    g_test_add_func("/cpuid/enforced", test_enforced);
    g_test_add_func("/cpuid/warning", test_warning);
    return g_test_run();
}
