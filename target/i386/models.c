/* SPDX-License-Identifier: MIT */
/* CPU models: what of a model, and of what the user switched, a processor gets. */
#include "target/i386/models.h"

#include <cpuid.h>
#include <stdio.h>

#include "base/error.h"
#include "machine/accelerator.h"

#define F(word, identifier) (1u << (X86_FEATURE_##identifier % 32))

const uint32_t x86_supported_features[X86_FEATURE_WORDS] = {
    [X86_WORD_1_EDX] = 0x078bfbff | F(, ACPI) | F(, SS),
    [X86_WORD_1_ECX] = F(, SSE3) | F(, SSSE3) | F(, SSE4_1) | F(, SSE4_2) | F(, CX16) |
                       F(, POPCNT) | F(, MOVBE) | F(, PCID) | F(, X2APIC) | F(, TSC_DEADLINE) |
                       F(, XSAVE) | F(, RDRAND) | F(, HYPERVISOR) | F(, MONITOR) | F(, AES) |
                       F(, PCLMULQDQ) | F(, AVX) | F(, F16C) | F(, FMA),
    [X86_WORD_7_0_EBX] = F(, FSGSBASE) | F(, BMI1) | F(, AVX2) | F(, BMI2) | F(, SMEP) | F(, SMAP) |
                         F(, ERMS) | F(, INVPCID) | F(, ADX) | F(, RDSEED) | F(, CLFLUSHOPT) |
                         F(, CLWB) | F(, SHA_NI),
    [X86_WORD_7_0_ECX] = F(, UMIP) | F(, PKU) | F(, GFNI) | F(, VAES) | F(, VPCLMULQDQ) |
                         F(, LA57) | F(, RDPID) | F(, MOVDIRI) | F(, PKS),
    [X86_WORD_7_0_EDX] = F(, FSRM),
    [X86_WORD_7_1_EAX] = F(, CMPCCXADD) | F(, FZRM) | F(, FSRS) | F(, FSRC),
    [X86_WORD_D_1_EAX] = F(, XSAVEOPT) | F(, XSAVEC) | F(, XGETBV1) | F(, XSAVES),
    [X86_WORD_6_EAX] = F(, ARAT),
    [X86_WORD_8000_0001_EDX] = F(, SYSCALL) | F(, NX) | F(, MMXEXT) | F(, FXSR_OPT) | F(, PDPE1GB) |
                               F(, RDTSCP) | F(, LM) | F(, 3DNOWEXT) | F(, 3DNOW),
    [X86_WORD_8000_0001_ECX] = F(, LAHF_LM) | F(, SVM) | F(, ABM) | F(, CR8LEGACY) |
                               F(, MISALIGNSSE) | F(, 3DNOWPREFETCH) | F(, OSVW) | F(, SSE4A) |
                               F(, TOPOEXT),
    [X86_WORD_8000_0008_EBX] = F(, CLZERO) | F(, XSAVEERPTR) | F(, WBNOINVD),
    [X86_WORD_8000_000A_EDX] = F(, NPT) | F(, LBRV) | F(, NRIP_SAVE) | F(, VMCB_CLEAN) |
                               F(, FLUSHBYASID) | F(, DECODEASSISTS) | F(, VGIF) |
                               F(, SVME_ADDR_CHK),
    [X86_WORD_8000_0021_EAX] = F(, NO_NESTED_DATA_BP) | F(, NULL_SEL_CLR_BASE),
};

typedef struct {
    const char *name;
    uint16_t number;
} FeatureName;

static const FeatureName names[] = {
#define X(identifier, word, bit, text) { text, X86_FEATURE_##identifier },
    X86_FEATURES(X)
#undef X
#define X(number, text) { text, X86_WORD_OTHER_0 * 32 + (number) },
        X86_OTHER_FEATURES(X)
#undef X
};

/* A feature is not there without another one (SDM 1, chapters 13 and 14; APM 3). */
static const struct {
    uint16_t feature, needs;
} dependencies[] = {
    { X86_FEATURE_AVX, X86_FEATURE_XSAVE },         { X86_FEATURE_XSAVEOPT, X86_FEATURE_XSAVE },
    { X86_FEATURE_XSAVEC, X86_FEATURE_XSAVE },      { X86_FEATURE_XGETBV1, X86_FEATURE_XSAVE },
    { X86_FEATURE_XSAVES, X86_FEATURE_XSAVE },      { X86_FEATURE_PKU, X86_FEATURE_XSAVE },
    { X86_FEATURE_FMA, X86_FEATURE_AVX },           { X86_FEATURE_F16C, X86_FEATURE_AVX },
    { X86_FEATURE_AVX2, X86_FEATURE_AVX },          { X86_FEATURE_VAES, X86_FEATURE_AVX },
    { X86_FEATURE_VPCLMULQDQ, X86_FEATURE_AVX },    { X86_FEATURE_AVX_VNNI, X86_FEATURE_AVX },
    { X86_FEATURE_SSE2, X86_FEATURE_SSE },          { X86_FEATURE_LA57, X86_FEATURE_LM },
    { X86_FEATURE_TSC_DEADLINE, X86_FEATURE_APIC }, { X86_FEATURE_X2APIC, X86_FEATURE_APIC },
    { X86_FEATURE_RDTSCP, X86_FEATURE_TSC },        { X86_FEATURE_INVPCID, X86_FEATURE_PCID },
};

static bool has_word(const uint32_t *words, unsigned feature)
{
    return words[feature / 32] >> (feature % 32) & 1;
}

static void set_word(uint32_t *words, unsigned feature, bool on)
{
    uint32_t bit = 1u << (feature % 32);

    words[feature / 32] = on ? words[feature / 32] | bit : words[feature / 32] & ~bit;
}

static unsigned find_name(const char *name, size_t length)
{
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strncmp(names[i].name, name, length) == 0 && names[i].name[length] == '\0') {
            return names[i].number;
        }
    }
    g_assert_not_reached(); /* the tables are ours */
}

const char *x86_feature_name(unsigned feature)
{
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i].number == feature) {
            return names[i].name;
        }
    }
    return "";
}

/* What the table says of a model; supported: what there is at most. */
static void model_features(const X86Model *model, const uint32_t *supported, uint32_t *words)
{
    const char *word = model->features;

    if (model->base) {
        model_features(model->base, supported, words);
    } else if (model->everything) {
        memcpy(words, supported, X86_FEATURE_WORDS * sizeof words[0]);
        words[X86_WORD_HYPERV] = 0; /* of another hypervisor's: only when they are asked for */
    } else {
        set_word(words, X86_FEATURE_HYPERVISOR, true);
    }
    while (*word) {
        size_t length = strcspn(word + 1, " ");

        set_word(words, find_name(word + 1, length), *word == '+');
        word += 1 + length;
        word += *word == ' ';
    }
}

/* Where CPUID has the words. */
static const struct {
    uint32_t leaf, subleaf;
    uint8_t reg; /* EAX, EBX, ECX, EDX */
} word_places[X86_FEATURE_WORDS] = {
    [X86_WORD_1_EDX] = { 1, 0, 3 },
    [X86_WORD_1_ECX] = { 1, 0, 2 },
    [X86_WORD_7_0_EBX] = { 7, 0, 1 },
    [X86_WORD_7_0_ECX] = { 7, 0, 2 },
    [X86_WORD_7_0_EDX] = { 7, 0, 3 },
    [X86_WORD_7_1_EAX] = { 7, 1, 0 },
    [X86_WORD_D_1_EAX] = { 0xd, 1, 0 },
    [X86_WORD_6_EAX] = { 6, 0, 0 },
    [X86_WORD_8000_0001_EDX] = { 0x80000001, 0, 3 },
    [X86_WORD_8000_0001_ECX] = { 0x80000001, 0, 2 },
    [X86_WORD_8000_0007_EDX] = { 0x80000007, 0, 3 },
    [X86_WORD_8000_0008_EBX] = { 0x80000008, 0, 1 },
    [X86_WORD_8000_000A_EDX] = { 0x8000000a, 0, 3 },
    [X86_WORD_8000_0021_EAX] = { 0x80000021, 0, 0 },
    [X86_WORD_4000_0001_EAX] = { 0x40000001, 0, 0 },
    [X86_WORD_4000_0001_EDX] = { 0x40000001, 0, 3 },
};

/* An accelerator that runs on a processor of its own tells what that can. */
static bool supported_by_host(Machine *machine, uint32_t *words)
{
    uint32_t out[4];

    if (!machine || !machine->accelerator || !machine->accelerator->cpuid) {
        return false;
    }
    memset(words, 0, X86_FEATURE_WORDS * sizeof words[0]);
    for (unsigned i = 0; i < X86_FEATURE_WORDS; i++) {
        if (word_places[i].leaf && machine->accelerator->cpuid(machine, word_places[i].leaf,
                                                               word_places[i].subleaf, out)) {
            words[i] = out[word_places[i].reg];
        }
    }
    words[X86_WORD_8000_0001_EDX] &= ~(uint32_t)X86_REPEATED_OF_LEAF_1;
    set_word(words, X86_FEATURE_HYPERVISOR, true);
    set_word(words, X86_FEATURE_TOPOEXT, true); /* leaves that are ours to tell */
    words[X86_WORD_HYPERV] = x86_hyperv_supported(machine);
    return true;
}

/* Long mode is not for the 32-bit target. machine NULL: on no accelerator in particular. */
static void supported_by(Machine *machine, const Target *target, uint32_t *words)
{
    if (!supported_by_host(machine, words)) {
        memcpy(words, x86_supported_features, sizeof x86_supported_features);
    }
    if (target == &i386_target) {
        set_word(words, X86_FEATURE_LM, false);
        set_word(words, X86_FEATURE_LA57, false);
    }
}

/*
 * What we lack of the guest's own virtualization is quietly not there, as where the firmware has it off: models have it because
 * the processor has.
 */
static bool is_quiet(const X86Cpu *cpu, unsigned feature)
{
    return (feature == X86_FEATURE_SVM || feature == X86_FEATURE_VMX ||
            feature / 32 == X86_WORD_8000_000A_EDX) &&
           cpu->switches[feature] != ON_OFF_AUTO_ON;
}

static void apply_switches(const X86Cpu *cpu, uint32_t *words)
{
    for (unsigned i = 0; i < X86_FEATURE_COUNT; i++) {
        if (cpu->switches[i]) {
            set_word(words, i, cpu->switches[i] == ON_OFF_AUTO_ON);
        }
    }
    /* The processor's, not the user's: they follow CR4. */
    set_word(words, X86_FEATURE_OSXSAVE, false);
    set_word(words, X86_FEATURE_OSPKE, false);
    for (size_t i = 0; i < G_N_ELEMENTS(dependencies); i++) {
        if (!has_word(words, dependencies[i].needs) &&
            cpu->switches[dependencies[i].feature] != ON_OFF_AUTO_ON) {
            set_word(words, dependencies[i].feature, false);
        }
    }
}

/*
 * Named models get those of the kernel's interfaces that each kernel has, so that their guests find the same ones everywhere, and
 * x2APIC; the host's processor and `max` get all. kvm=off hides who runs them.
 */
static void add_paravirtual(const X86Cpu *cpu, const uint32_t *supported, uint32_t *words)
{
    static const uint32_t of_models = F(, KVMCLOCK) | F(, KVM_NOPIODELAY) | F(, KVM_ASYNCPF) |
                                      F(, KVM_STEAL_TIME) | F(, KVM_PV_EOI) |
                                      F(, KVMCLOCK_STABLE_BIT);
    bool all = cpu->x86_model->everything;

    words[X86_WORD_4000_0001_EAX] = cpu->shows_kvm ? supported[X86_WORD_4000_0001_EAX] : 0;
    words[X86_WORD_4000_0001_EAX] &= all ? ~F(, KVM_MSI_EXT_DEST_ID) : of_models;
    words[X86_WORD_4000_0001_EDX] = 0; /* how it will be run is for the user to promise */
    if (has_word(supported, X86_FEATURE_X2APIC)) {
        set_word(words, X86_FEATURE_X2APIC, true);
    }
}

/*
 * What the processor has for its own power, for counting and for waiting is not for guests of their own accord, virtualization only with all of the
 * processor, and its own topology, which is not the guest's, only by name. A counter that never changes its rate would not survive a move to another host (migratable), and what AMD's processors have
 * not, the kernel's emulation of it does not give them.
 */
static void leave_out_unwanted(const X86Cpu *cpu, const uint32_t *supported, uint32_t *words)
{
    bool all = cpu->x86_model->everything;

    set_word(words, X86_FEATURE_ACPI, false);
    set_word(words, X86_FEATURE_PERFCTR_CORE, false);
    set_word(words, X86_FEATURE_MONITOR,
             all && cpu->vcpu.machine->config.cpu_pm && has_word(supported, X86_FEATURE_MONITOR));
    set_word(words, all ? X86_FEATURE_TOPOEXT : X86_FEATURE_SVM, false);
    if (all && cpu->migratable) {
        set_word(words, X86_FEATURE_INVTSC, false);
    }
    if (all && strcmp(cpu->vendor, X86_VENDOR_AMD) == 0) {
        set_word(words, X86_FEATURE_ARCH_CAPABILITIES, false);
    }
}

/* Names of features that are wanted and cannot be had. */
static GString *missing_names(const X86Cpu *cpu, const uint32_t *wanted, const uint32_t *supported)
{
    GString *list = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        unsigned feature = names[i].number;

        if (has_word(wanted, feature) && !has_word(supported, feature) && !is_quiet(cpu, feature)) {
            g_string_append_printf(list, "%s%s", list->len ? ", " : "", names[i].name);
        }
    }
    return list;
}

static void keep_supported(X86Cpu *cpu, const uint32_t *wanted, const uint32_t *supported)
{
    for (unsigned i = 0; i < X86_FEATURE_WORDS; i++) {
        cpu->features[i] = wanted[i] & supported[i];
    }
    for (size_t i = 0; i < G_N_ELEMENTS(dependencies); i++) {
        if (!has_word(cpu->features, dependencies[i].needs)) {
            set_word(cpu->features, dependencies[i].feature, false);
        }
    }
}

/* Without what Hyper-V has: that is the accelerator's, not the processor's, and of the translator it is not insisted on. */
static GString *missing_of_processor(const X86Cpu *cpu, const uint32_t *wanted,
                                     const uint32_t *supported)
{
    uint32_t words[X86_FEATURE_WORDS];

    memcpy(words, supported, sizeof(words));
    words[X86_WORD_HYPERV] = UINT32_MAX;
    return missing_names(cpu, wanted, words);
}

static bool leave_out_missing(X86Cpu *cpu, const uint32_t *wanted, const uint32_t *supported,
                              GError **error)
{
    const char *model = cpu->vcpu.model->name;
    g_autoptr(GString) missing = missing_names(cpu, wanted, supported);
    g_autoptr(GString) enforced = NULL;
    bool first = cpu->vcpu.index == 0;

    if (first && x86_hyperv_wants_spinlocks(cpu) && !supported[X86_WORD_HYPERV]) {
        g_string_append_printf(missing, "%shv-spinlocks", missing->len ? ", " : "");
    }
    enforced =
        cpu->on_host ? g_string_new(missing->str) : missing_of_processor(cpu, wanted, supported);
    if (enforced->len && cpu->enforce) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "CPU '%s': enforce=on, and these features are not there: %s", model,
                          enforced->str);
    }
    if (missing->len && first && (cpu->check || cpu->enforce)) {
        g_printerr("kaso: warning: CPU '%s' is without features that are not there%s: %s\n", model,
                   cpu->on_host ? " on this host" : " yet", missing->str);
    }
    keep_supported(cpu, wanted, supported);
    return true;
}

/* The highest leaves: the model's, or what its features need. */
static void choose_levels(X86Cpu *cpu)
{
    const X86Model *model = cpu->x86_model;
    const uint32_t *f = cpu->features;
    uint32_t level = MAX(model->level, cpu->min_level);
    bool host = cpu->on_host && model->everything;
    uint32_t xlevel = MAX(host ? 0x80000008 : model->xlevel, cpu->min_xlevel);

    /* Dies and modules are told of there only, where processors have that leaf. */
    cpu->cpuid_1f = model->leaf_1f || cpu->topology.package_shift > cpu->topology.module_shift;
    if (f[X86_WORD_6_EAX]) {
        level = MAX(level, 6);
    }
    if (f[X86_WORD_7_0_EBX] | f[X86_WORD_7_0_ECX] | f[X86_WORD_7_0_EDX] | f[X86_WORD_7_1_EAX]) {
        level = MAX(level, 7);
    }
    if (x86_has(cpu, X86_FEATURE_XSAVE)) {
        level = MAX(level, 0xd);
    }
    if (cpu->cpuid_1f && (model->leaf_1f || x86_vendor_is_intel(cpu))) {
        level = MAX(level, 0x1f);
    }
    if (f[X86_WORD_8000_0001_EDX] | f[X86_WORD_8000_0001_ECX]) {
        xlevel = MAX(xlevel, 0x80000001);
    }
    if (f[X86_WORD_8000_0007_EDX]) {
        xlevel = MAX(xlevel, 0x80000007);
    }
    if (f[X86_WORD_8000_0008_EBX]) {
        xlevel = MAX(xlevel, 0x80000008);
    }
    if (x86_has(cpu, X86_FEATURE_SVM)) {
        xlevel = MAX(xlevel, 0x8000000a);
    }
    if (host && x86_has(cpu, X86_FEATURE_TOPOEXT)) {
        xlevel = MAX(xlevel, 0x8000001e);
    }
    if (f[X86_WORD_8000_0021_EAX]) {
        xlevel = MAX(xlevel, 0x80000021);
    }
    cpu->level = cpu->level == X86_UNSET ? level : cpu->level;
    cpu->xlevel = cpu->xlevel == X86_UNSET ? xlevel : cpu->xlevel;
}

/* "address sizes : N bits physical, …" */
static unsigned host_phys_bits(void)
{
    g_autofree char *text = NULL;
    const char *line = NULL;
    unsigned bits = 0;

    if (g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL)) {
        line = strstr(text, "address sizes");
    }
    return line && sscanf(line, "address sizes : %u bits", &bits) == 1 ? bits : 40;
}

static bool wants_host_phys_bits(const X86Cpu *cpu)
{
    if (cpu->host_phys_bits != ON_OFF_AUTO_AUTO) {
        return cpu->host_phys_bits == ON_OFF_AUTO_ON;
    }
    return cpu->on_host && cpu->x86_model->everything && !cpu->wanted_phys_bits;
}

static bool choose_widths(X86Cpu *cpu, GError **error)
{
    bool long_mode = x86_has(cpu, X86_FEATURE_LM);
    bool wide = x86_has(cpu, X86_FEATURE_PSE36) || x86_has(cpu, X86_FEATURE_PAE);
    uint32_t natural = wide ? 36 : 32, bits = cpu->wanted_phys_bits;

    if (long_mode && wants_host_phys_bits(cpu)) {
        bits = host_phys_bits();
        if (cpu->host_phys_bits_limit) {
            bits = MIN(bits, cpu->host_phys_bits_limit);
        }
    }
    if (long_mode && bits && (bits < 32 || bits > 52)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "phys-bits should be between 32 and 52 (but is %u)", bits);
    }
    if (!long_mode && bits && bits != natural) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "phys-bits is not user-configurable in 32 bit: it is %u", natural);
    }
    cpu->phys_bits = bits ? bits : long_mode ? 40 : natural;
    cpu->virt_bits = x86_has(cpu, X86_FEATURE_LA57) ? 57 : 48;
    return true;
}

/* The vendor decides how some instructions behave, so it is the host's even for other models. */
static void host_vendor(X86Cpu *cpu)
{
    uint32_t out[4];
    char vendor[13] = { 0 };

    if (!cpu->vendor && __get_cpuid(0, &out[0], &out[1], &out[2], &out[3])) {
        memcpy(vendor, &out[1], 4);
        memcpy(vendor + 4, &out[3], 4);
        memcpy(vendor + 8, &out[2], 4);
        cpu->vendor = g_strdup(vendor);
    }
}

/* The host's family and name, which `host` and `max` have. */
static void host_identity(X86Cpu *cpu)
{
    uint32_t out[4];
    char name[49] = { 0 };

    for (uint32_t i = 0; i < 3; i++) {
        if (__get_cpuid(0x80000002 + i, &out[0], &out[1], &out[2], &out[3])) {
            memcpy(name + 16 * i, out, 16);
        }
    }
    cpu->model_id = cpu->model_id ? cpu->model_id : g_strdup(name);
    if (!__get_cpuid(1, &out[0], &out[1], &out[2], &out[3])) {
        return;
    }
    cpu->family = cpu->family != X86_UNSET   ? cpu->family
                  : (out[0] >> 8 & 15) == 15 ? 15 + (out[0] >> 20 & 255)
                                             : out[0] >> 8 & 15;
    cpu->model_number = cpu->model_number != X86_UNSET ? cpu->model_number
                                                       : (out[0] >> 4 & 15) | (out[0] >> 12 & 0xf0);
    cpu->stepping = cpu->stepping != X86_UNSET ? cpu->stepping : out[0] & 15;
}

static bool choose_identity(X86Cpu *cpu, GError **error)
{
    const X86Model *model = cpu->x86_model;
    const char *name = cpu->vcpu.model->name;
    const struct {
        const char *property;
        uint32_t *field, of_model, most;
    } numbers[] = {
        { "family", &cpu->family, model->family, 0xff + 0xf },
        { "model", &cpu->model_number, model->model, 0xff },
        { "stepping", &cpu->stepping, model->stepping, 0xf },
    };

    if (cpu->on_host) {
        host_vendor(cpu);
    }
    if (cpu->on_host && model->everything) {
        host_identity(cpu);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (*numbers[i].field == X86_UNSET) {
            *numbers[i].field = numbers[i].of_model;
        } else if (*numbers[i].field > numbers[i].most) {
            return error_fail(error, KASO_ERROR_INVALID, "CPU '%s': %s=%u: the highest is %u", name,
                              numbers[i].property, *numbers[i].field, numbers[i].most);
        }
    }
    if (cpu->vendor && strlen(cpu->vendor) != 12) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "CPU '%s': vendor=%s: it has 12 characters, like %s", name, cpu->vendor,
                          X86_VENDOR_INTEL);
    }
    if (!cpu->vendor) {
        cpu->vendor = g_strdup(model->vendor);
    }
    if (!cpu->model_id) {
        cpu->model_id = g_strdup(model->model_id);
    }
    return true;
}

/* What the model and the user want of what is supported, and who the processor says it is. */
static bool choose_wanted(X86Cpu *cpu, uint32_t *wanted, uint32_t *supported, GError **error)
{
    Machine *machine = cpu->vcpu.machine;

    cpu->on_host = machine && machine->accelerator && machine->accelerator->cpuid;
    supported_by(machine, cpu->vcpu.target, supported);
    model_features(cpu->x86_model, supported, wanted);
    if (!choose_identity(cpu, error)) {
        return false;
    }
    if (cpu->on_host) {
        add_paravirtual(cpu, supported, wanted);
        leave_out_unwanted(cpu, supported, wanted);
    }
    apply_switches(cpu, wanted);
    return true;
}

bool x86_select_features(X86Cpu *cpu, GError **error)
{
    const MachineConfig *config = &cpu->vcpu.machine->config;
    uint32_t wanted[X86_FEATURE_WORDS] = { 0 }, supported[X86_FEATURE_WORDS];

    if (!choose_wanted(cpu, wanted, supported, error)) {
        return false;
    }
    if (cpu->x86_model->of_host && !cpu->on_host) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "CPU 'host' is what -accel kvm runs on; use -cpu max");
    }
    if (!leave_out_missing(cpu, wanted, supported, error) ||
        (cpu->on_host && !x86_hyperv_select(cpu, wanted, supported[X86_WORD_HYPERV], error)) ||
        !choose_widths(cpu, error)) {
        return false;
    }
    cpu->topology = x86_topology(cpu->vcpu.index, x86_layout(config));
    choose_levels(cpu);
    return true;
}

char **x86_resolve(Vcpu *vcpu)
{
    X86Cpu *cpu = x86_cpu(vcpu);
    uint32_t wanted[X86_FEATURE_WORDS] = { 0 }, supported[X86_FEATURE_WORDS];
    g_autoptr(GString) missing = NULL;

    cpu->x86_model = vcpu->model->data;
    if (!choose_wanted(cpu, wanted, supported, NULL)) {
        return g_new0(char *, 1);
    }
    missing = missing_names(cpu, wanted, supported);
    keep_supported(cpu, wanted, supported);
    choose_levels(cpu);
    for (unsigned i = 0; i < X86_FEATURE_COUNT; i++) {
        cpu->switches[i] = has_word(cpu->features, i) ? ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;
    }
    return g_strsplit(missing->str, ", ", -1);
}
