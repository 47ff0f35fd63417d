/* SPDX-License-Identifier: MIT */
/*
 * The caches that CPUID describes (Intel SDM 2, CPUID leaves 2 and 4; AMD APM 3, appendix E, functions 80000005, 80000006
 * and 8000001D).
 */
#include "target/i386/models.h"

#include <cpuid.h>

/* clang-format off */
#define KIB_SETS(kib, ways) ((kib) * 1024 / 64 / (ways))
#define L1D(kib, ways, flags) { 1, 1, ways, 1, flags, true, X86_LEVEL_CORE, KIB_SETS(kib, ways) }
#define L1I(kib, ways, flags) { 1, 2, ways, 1, flags, true, X86_LEVEL_CORE, KIB_SETS(kib, ways) }
#define L1D_NO_TAG(kib, ways, flags) { 1, 1, ways, 0, flags, true, X86_LEVEL_CORE, KIB_SETS(kib, ways) }
#define L1I_NO_TAG(kib, ways, flags) { 1, 2, ways, 0, flags, true, X86_LEVEL_CORE, KIB_SETS(kib, ways) }
#define L2(kib, ways, lines, flags, initializing) \
    { 2, 3, ways, lines, flags, initializing, X86_LEVEL_CORE, KIB_SETS(kib, ways) }
#define L2_OF_MODULE(kib, ways, flags) { 2, 3, ways, 0, flags, true, X86_LEVEL_MODULE, KIB_SETS(kib, ways) }
#define L3(kib, ways, flags) { 3, 3, ways, 1, flags, true, X86_LEVEL_DIE, KIB_SETS(kib, ways) }
#define L3_OF_PACKAGE(kib, ways, flags) { 3, 3, ways, 1, flags, true, X86_LEVEL_PACKAGE, KIB_SETS(kib, ways) }
#define CACHES(name, ...) const X86Caches x86_caches_##name = { { __VA_ARGS__ } }

CACHES(intel_legacy, L1D_NO_TAG(32, 8, 1), L1I_NO_TAG(32, 8, 1), L2(4096, 16, 0, 1, true), L3(16384, 16, 6));
CACHES(amd_legacy, L1D(64, 2, 1), L1I(64, 2, 1), L2(512, 16, 1, 0, false), L3(16384, 16, 2));
CACHES(zhaoxin_legacy, L1D_NO_TAG(32, 8, 1), L1I_NO_TAG(32, 8, 1), L2(4096, 16, 0, 1, true), L3(16384, 16, 6));
CACHES(yongfeng, L1D(32, 8, 0), L1I(64, 16, 0), L2(256, 8, 0, 2, true), L3(8192, 16, 3));
CACHES(epyc, L1D(32, 8, 1), L1I(64, 4, 1), L2(512, 8, 1, 0, false), L3(8192, 16, 2));
CACHES(epyc_v5, L1D(32, 8, 0), L1I(64, 4, 0), L2(512, 8, 1, 2, true), L3(8192, 16, 1));
CACHES(rome, L1D(32, 8, 1), L1I(32, 8, 1), L2(512, 8, 1, 0, false), L3(16384, 16, 2));
CACHES(rome_v5, L1D(32, 8, 0), L1I(32, 8, 0), L2(512, 8, 1, 2, true), L3(16384, 16, 1));
CACHES(milan, L1D(32, 8, 1), L1I(32, 8, 1), L2(512, 8, 1, 0, false), L3(32768, 16, 2));
CACHES(milan_v3, L1D(32, 8, 0), L1I(32, 8, 0), L2(512, 8, 1, 2, true), L3(32768, 16, 1));
CACHES(genoa, L1D(32, 8, 1), L1I(32, 8, 1), L2(1024, 8, 1, 0, false), L3(32768, 16, 2));
CACHES(genoa_v2, L1D(32, 8, 0), L1I(32, 8, 0), L2(1024, 8, 1, 2, true), L3(32768, 16, 1));
CACHES(turin, L1D(48, 12, 0), L1I(32, 8, 0), L2(1024, 16, 1, 2, true), L3(32768, 16, 1));
CACHES(dhyana, L1D(32, 8, 1), L1I(64, 4, 1), L2(512, 8, 1, 0, false), L3(8192, 16, 6));
CACHES(sapphirerapids, L1D(48, 12, 0), L1I(32, 8, 0), L2(2048, 16, 0, 0, true), L3_OF_PACKAGE(61440, 15, 4));
CACHES(graniterapids, L1D(48, 12, 0), L1I(64, 16, 0), L2(2048, 16, 0, 0, true), L3_OF_PACKAGE(294912, 16, 4));
CACHES(sierraforest, L1D(32, 8, 0), L1I(64, 8, 0), L2_OF_MODULE(4096, 16, 0), L3_OF_PACKAGE(110592, 12, 4));
CACHES(clearwaterforest, L1D(32, 8, 0), L1I(64, 8, 0), L2_OF_MODULE(4096, 16, 0), L3_OF_PACKAGE(540672, 16, 4));
/* clang-format on */

enum {
    TLB_L1 = 0x01ff01ff, /* fully associative, 255 entries for data, 1 for instructions */
    TLB_L2 = 0x42004200, /* 4-way, 512 entries each */
    LINE_BYTES = 64,
    NO_DESCRIPTORS = 0xff, /* leaf 2: see leaf 4 */
    LEGACY_L1 =
        0x2c307d, /* leaf 2's descriptors of the legacy caches, for processors without leaf 4 */
    LEGACY_L3 = 0x4d,
};

static bool vendor_is(const X86Cpu *cpu, const char *vendor)
{
    return strcmp(cpu->vendor, vendor) == 0;
}

static uint32_t kib(const X86Cache *cache)
{
    return cache->ways * cache->sets * LINE_BYTES / 1024;
}

/* The width of the part of APIC ids in which those differ who share this. */
static unsigned level_shift(const X86Cpu *cpu, X86Level level)
{
    const X86Topology *t = &cpu->topology;
    const uint8_t shifts[] = { [X86_LEVEL_CORE] = t->core_shift,
                               [X86_LEVEL_MODULE] = t->module_shift,
                               [X86_LEVEL_DIE] = t->die_shift,
                               [X86_LEVEL_PACKAGE] = t->package_shift };

    return shifts[level];
}

/* Leaf 4: the greatest number that a core has in its package. */
static uint32_t cores_mask(const X86Cpu *cpu)
{
    return (1u << (cpu->topology.package_shift - cpu->topology.core_shift)) - 1;
}

/* Leaves 4 and 8000001D. */
static void describe(const X86Cpu *cpu, const X86Cache *cache, bool of_amd, uint32_t out[4])
{
    uint32_t sharing = (1u << level_shift(cpu, cache->shared)) - 1;
    uint32_t cores = cores_mask(cpu);

    out[0] = cache->type | (uint32_t)cache->level << 5 | (uint32_t)cache->self_initializing << 8 |
             MIN(sharing, 0xfffu) << 14;
    out[0] |= of_amd ? 0 : MIN(cores, 63u) << 26;
    out[1] = (LINE_BYTES - 1) | (uint32_t)(cache->ways - 1) << 22;
    out[2] = cache->sets - 1;
    out[3] = of_amd ? cache->flags & 3u : cache->flags; /* AMD has no complex indexing */
}

static uint32_t l1_word(const X86Cache *cache)
{
    return kib(cache) << 24 | (uint32_t)cache->ways << 16 | (uint32_t)cache->lines_per_tag << 8 |
           LINE_BYTES;
}

/* Associativity as leaf 80000006 encodes it; 0 where it has no code. */
static uint32_t ways_code(unsigned ways)
{
    static const uint8_t codes[] = { [1] = 1,   [2] = 2,   [4] = 4,   [8] = 6,   [16] = 8,
                                     [32] = 10, [48] = 11, [64] = 12, [96] = 13, [128] = 14 };

    return ways < sizeof codes ? codes[ways] : 0;
}

static void describe_l2_l3(const X86Cpu *cpu, const X86Caches *caches, uint32_t out[4])
{
    const X86Cache *l2 = &caches->cache[2], *l3 = &caches->cache[3];

    out[2] =
        kib(l2) << 16 | ways_code(l2->ways) << 12 | (uint32_t)l2->lines_per_tag << 8 | LINE_BYTES;
    if (!vendor_is(cpu, X86_VENDOR_AMD) && !vendor_is(cpu, X86_VENDOR_HYGON)) {
        return;
    }
    out[1] = TLB_L2;
    if (cpu->l3_cache) {
        out[3] = kib(l3) / 512 << 18 | ways_code(l3->ways) << 12 |
                 (uint32_t)l3->lines_per_tag << 8 | LINE_BYTES;
    }
}

static const X86Caches *caches_of(const X86Cpu *cpu)
{
    const X86Caches *own = cpu->x86_model->caches;

    /* Models without caches of their own have those of the vendor, who may be the host's or the user's choice. */
    if (!cpu->legacy_cache && own != &x86_caches_amd_legacy && own != &x86_caches_intel_legacy) {
        return own;
    }
    return vendor_is(cpu, X86_VENDOR_AMD) || vendor_is(cpu, X86_VENDOR_HYGON)
               ? &x86_caches_amd_legacy
           : vendor_is(cpu, X86_VENDOR_CENTAUR) ? &x86_caches_zhaoxin_legacy
                                                : &x86_caches_intel_legacy;
}

/* The host's; who shares them is told by the guest's topology. */
static void host_caches(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    enum { TYPE = 0x1f, LEVEL_SHIFT = 5, SHARING = 0xfff << 14, CORES = 63u << 26 };
    unsigned shift;
    uint32_t cores;

    if (!__get_cpuid_count(leaf, subleaf, &out[0], &out[1], &out[2], &out[3]) ||
        (leaf != 4 && leaf != 0x8000001d) || !(out[0] & TYPE)) {
        return;
    }
    shift = level_shift(cpu, (out[0] >> LEVEL_SHIFT & 7) > 2 ? X86_LEVEL_DIE : X86_LEVEL_CORE);
    cores = leaf == 4 ? MIN(cores_mask(cpu), 63u) : 0;
    out[0] &= ~((uint32_t)SHARING | (leaf == 4 ? CORES : 0));
    out[0] |= MIN((1u << shift) - 1, 0xfffu) << 14 | cores << 26;
}

void x86_cpuid_caches(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const X86Caches *caches = caches_of(cpu);
    bool amd = vendor_is(cpu, X86_VENDOR_AMD), intel = vendor_is(cpu, X86_VENDOR_INTEL);
    unsigned count = cpu->l3_cache ? 4 : 3;

    if (cpu->on_host && cpu->host_cache_info) {
        host_caches(cpu, leaf, subleaf, out);
        return;
    }
    switch (leaf) {
    case 2:
        if (!amd) {
            out[0] = 1;
            out[2] = cpu->level < 4 && cpu->l3_cache ? LEGACY_L3 : 0;
            out[3] = cpu->level < 4 ? LEGACY_L1 : NO_DESCRIPTORS;
        }
        break;
    case 4:
        if (!amd && subleaf < count) {
            describe(cpu, &caches->cache[subleaf], false, out);
        }
        break;
    case 0x80000005:
        if (!intel) {
            out[0] = out[1] = TLB_L1;
            out[2] = l1_word(&caches->cache[0]);
            out[3] = l1_word(&caches->cache[1]);
        }
        break;
    case 0x80000006:
        describe_l2_l3(cpu, caches, out);
        break;
    case 0x8000001d:
        if ((amd || vendor_is(cpu, X86_VENDOR_HYGON)) && subleaf < count) {
            describe(cpu, &caches->cache[subleaf], true, out);
        }
        break;
    }
}
