/* SPDX-License-Identifier: MIT */
/*
 * Device tree of the `virt` board (Devicetree Specification v0.4; bindings of the Linux kernel), in
 * the shape that Linux, EDK2 and U-Boot find their way in.
 */
#include "hw/board/virt.h"

#include <libfdt.h>
#include <string.h>

#include "base/error.h"
#include "machine/numa.h"
#include "machine/random.h"

enum {
    PHANDLE_GIC = 1,
    PHANDLE_V2M,
    PHANDLE_CLOCK,
    PHANDLE_GPIO,
    PHANDLE_CPU, /* and the following */
};

/* Interrupt specifiers (arm,gic binding). */
enum { GIC_SPI = 0, GIC_PPI = 1, IRQ_EDGE_RISING = 1, IRQ_LEVEL_HIGH = 4 };
enum { PPI_BASE = 16 };

/* PCI ranges: the first cell of a child address. */
enum { PCI_SPACE_IO = 0x01000000, PCI_SPACE_MEM32 = 0x02000000, PCI_SPACE_MEM64 = 0x03000000 };

enum { KEY_POWER = 116, APB_CLOCK_HZ = 24000000 };

/* Cells that are to be one property. */
typedef struct {
    uint32_t cells[512];
    unsigned count;
} Cells;

static void put(Cells *c, uint32_t value)
{
    g_assert(c->count < ARRAY_SIZE(c->cells));
    c->cells[c->count++] = __builtin_bswap32(value);
}

static void put64(Cells *c, uint64_t value)
{
    put(c, (uint32_t)(value >> 32));
    put(c, (uint32_t)value);
}

static void property_cells(void *fdt, const char *name, const Cells *c)
{
    fdt_property(fdt, name, c->cells, (int)(c->count * 4));
}

static void property_reg(void *fdt, uint64_t address, uint64_t size)
{
    Cells c = { .count = 0 };

    put64(&c, address);
    put64(&c, size);
    property_cells(fdt, "reg", &c);
}

static void property_spi(void *fdt, uint32_t spi, uint32_t flags)
{
    Cells c = { .count = 0 };

    put(&c, GIC_SPI);
    put(&c, spi);
    put(&c, flags);
    property_cells(fdt, "interrupts", &c);
}

/* GICv2 names the CPUs that a private interrupt goes to; GICv3 does not. */
static void put_ppi(const Virt *virt, Cells *c, unsigned intid)
{
    uint32_t cpus = virt_has_gicv3(virt) ? 0 : (uint32_t)bits_mask(virt->machine->config.vcpus);

    put(c, GIC_PPI);
    put(c, intid - PPI_BASE);
    put(c, cpus << 8 | IRQ_LEVEL_HIGH);
}

static void begin_node(void *fdt, const char *name, uint64_t address)
{
    g_autofree char *full = g_strdup_printf("%s@%llx", name, (unsigned long long)address);

    fdt_begin_node(fdt, full);
}

/* A list of strings as one property: text with embedded NULs. */
#define property_strings(fdt, name, text) fdt_property((fdt), (name), (text), (int)sizeof(text))

static void add_chosen(const Virt *virt, void *fdt)
{
    static const uint8_t seed[32];
    g_autofree char *uart0 = g_strdup_printf("/pl011@%llx", (unsigned long long)VIRT_UART0);
    g_autofree char *uart1 = g_strdup_printf("/pl011@%llx", (unsigned long long)VIRT_UART1);

    fdt_begin_node(fdt, "chosen");
    if (virt->dtb_randomness) {
        fdt_property(fdt, "kaslr-seed", seed, 8);
        fdt_property(fdt, "rng-seed", seed, sizeof seed);
    }
    fdt_property_string(fdt, "stdout-path", uart0);
    fdt_end_node(fdt);

    fdt_begin_node(fdt, "aliases");
    fdt_property_string(fdt, "serial0", uart0);
    if (virt->uart[1]) {
        fdt_property_string(fdt, "serial1", uart1);
    }
    fdt_end_node(fdt);
}

static void add_cpus(const Virt *virt, void *fdt)
{
    const MachineConfig *config = &virt->machine->config;
    bool is_arm_core = g_str_has_prefix(config->cpu_model->name, "cortex-") ||
                       g_str_has_prefix(config->cpu_model->name, "neoverse-");
    g_autofree char *compatible =
        is_arm_core ? g_strdup_printf("arm,%s", config->cpu_model->name) : g_strdup("arm,armv8");

    fdt_begin_node(fdt, "cpus");
    fdt_property_u32(fdt, "#address-cells", 1);
    fdt_property_u32(fdt, "#size-cells", 0);
    for (unsigned i = 0; i < config->vcpus; i++) {
        begin_node(fdt, "cpu", arm_vcpu_affinity(i));
        fdt_property_u32(fdt, "reg", (uint32_t)arm_vcpu_affinity(i));
        fdt_property_string(fdt, "device_type", "cpu");
        fdt_property_string(fdt, "compatible", compatible);
        fdt_property_string(fdt, "enable-method", "psci");
        fdt_property_u32(fdt, "phandle", PHANDLE_CPU + i);
        if (virt->machine->numa) {
            fdt_property_u32(fdt, "numa-node-id", (uint32_t)virt->machine->numa->cpu_nodes[i]);
        }
        fdt_end_node(fdt);
    }
    fdt_begin_node(fdt, "cpu-map");
    fdt_begin_node(fdt, "socket0");
    fdt_begin_node(fdt, "cluster0");
    for (unsigned i = 0; i < config->vcpus; i++) {
        char core[16];

        g_snprintf(core, sizeof core, "core%u", i);
        fdt_begin_node(fdt, core);
        fdt_property_u32(fdt, "cpu", PHANDLE_CPU + i);
        fdt_end_node(fdt);
    }
    fdt_end_node(fdt);
    fdt_end_node(fdt);
    fdt_end_node(fdt);
    fdt_end_node(fdt);
}

/* The lists of all pairs of nodes: from, to, distance. */
static void add_distances(const Virt *virt, void *fdt)
{
    enum { BYTES_PER_PAIR = 12 };
    const Numa *numa = virt->machine->numa;
    g_autofree uint32_t *matrix = NULL;
    uint32_t *next;

    if (!numa || !numa->distances) {
        return;
    }
    next = matrix = g_malloc((size_t)numa->count * numa->count * BYTES_PER_PAIR);
    for (uint32_t from = 0; from < numa->count; from++) {
        for (uint32_t to = 0; to < numa->count; to++) {
            *next++ = __builtin_bswap32(from);
            *next++ = __builtin_bswap32(to);
            *next++ = __builtin_bswap32(numa->distance[from][to]);
        }
    }
    fdt_begin_node(fdt, "distance-map");
    fdt_property_string(fdt, "compatible", "numa-distance-map-v1");
    fdt_property(fdt, "distance-matrix", matrix, (int)(numa->count * numa->count * BYTES_PER_PAIR));
    fdt_end_node(fdt);
}

static void add_psci(void *fdt)
{
    fdt_begin_node(fdt, "psci");
    property_strings(fdt, "compatible", "arm,psci-1.0\0arm,psci-0.2\0arm,psci");
    fdt_property_string(fdt, "method", "hvc");
    fdt_property_u32(fdt, "cpu_suspend", 0xc4000001);
    fdt_property_u32(fdt, "cpu_off", 0x84000002);
    fdt_property_u32(fdt, "cpu_on", 0xc4000003);
    fdt_property_u32(fdt, "migrate", 0xc4000005);
    fdt_end_node(fdt);
}

static void add_timer_and_pmu(const Virt *virt, void *fdt)
{
    Cells timer = { .count = 0 }, pmu = { .count = 0 };

    put_ppi(virt, &timer, ARM_INTID_TIMER_SECURE);
    put_ppi(virt, &timer, ARM_INTID_TIMER_PHYS);
    put_ppi(virt, &timer, ARM_INTID_TIMER_VIRT);
    put_ppi(virt, &timer, ARM_INTID_TIMER_HYP);
    fdt_begin_node(fdt, "timer");
    property_strings(fdt, "compatible", "arm,armv8-timer\0arm,armv7-timer");
    property_cells(fdt, "interrupts", &timer);
    fdt_property(fdt, "always-on", NULL, 0);
    fdt_end_node(fdt);

    put_ppi(virt, &pmu, ARM_INTID_PMU);
    fdt_begin_node(fdt, "pmu");
    fdt_property_string(fdt, "compatible", "arm,armv8-pmuv3");
    property_cells(fdt, "interrupts", &pmu);
    fdt_end_node(fdt);
}

static void add_gic(const Virt *virt, void *fdt)
{
    Cells reg = { .count = 0 };

    put64(&reg, VIRT_GIC_DIST);
    put64(&reg, 0x10000);
    begin_node(fdt, "intc", VIRT_GIC_DIST);
    if (virt_has_gicv3(virt)) {
        put64(&reg, VIRT_GIC_REDIST);
        put64(&reg, VIRT_GIC_REDIST_BYTES);
        if (virt->gic->mmio_count > 2) {
            put64(&reg, virt->high[VIRT_HIGH_REDIST]);
            put64(&reg, VIRT_HIGH_REDIST_BYTES);
        }
        fdt_property_string(fdt, "compatible", "arm,gic-v3");
        fdt_property_u32(fdt, "#redistributor-regions", virt->gic->mmio_count - 1);
    } else {
        put64(&reg, VIRT_GIC_CPU);
        put64(&reg, 0x10000);
        fdt_property_string(fdt, "compatible", "arm,cortex-a15-gic");
    }
    property_cells(fdt, "reg", &reg);
    fdt_property_u32(fdt, "#interrupt-cells", 3);
    fdt_property(fdt, "interrupt-controller", NULL, 0);
    fdt_property_u32(fdt, "#address-cells", 2);
    fdt_property_u32(fdt, "#size-cells", 2);
    fdt_property(fdt, "ranges", NULL, 0);
    fdt_property_u32(fdt, "phandle", PHANDLE_GIC);
    begin_node(fdt, "v2m", VIRT_GIC_V2M);
    fdt_property_string(fdt, "compatible", "arm,gic-v2m-frame");
    fdt_property(fdt, "msi-controller", NULL, 0);
    property_reg(fdt, VIRT_GIC_V2M, 0x1000);
    fdt_property_u32(fdt, "phandle", PHANDLE_V2M);
    fdt_end_node(fdt);
    fdt_end_node(fdt);
}

static void property_clock(void *fdt, const char *names, size_t names_size)
{
    Cells clocks = { .count = 0 };

    for (size_t i = 0; i < names_size; i += strlen(names + i) + 1) {
        put(&clocks, PHANDLE_CLOCK);
    }
    property_cells(fdt, "clocks", &clocks);
    fdt_property(fdt, "clock-names", names, (int)names_size);
}

static void add_uart(void *fdt, uint64_t address, uint32_t spi)
{
    static const char clocks[] = "uartclk\0apb_pclk";

    begin_node(fdt, "pl011", address);
    property_strings(fdt, "compatible", "arm,pl011\0arm,primecell");
    property_reg(fdt, address, 0x1000);
    property_spi(fdt, spi, IRQ_LEVEL_HIGH);
    property_clock(fdt, clocks, sizeof clocks);
    fdt_end_node(fdt);
}

static void add_gpio(void *fdt)
{
    Cells pin = { .count = 0 };

    begin_node(fdt, "pl061", VIRT_GPIO);
    property_strings(fdt, "compatible", "arm,pl061\0arm,primecell");
    property_reg(fdt, VIRT_GPIO, 0x1000);
    property_spi(fdt, VIRT_SPI_GPIO, IRQ_LEVEL_HIGH);
    property_clock(fdt, "apb_pclk", sizeof "apb_pclk");
    fdt_property_u32(fdt, "#gpio-cells", 2);
    fdt_property(fdt, "gpio-controller", NULL, 0);
    fdt_property_u32(fdt, "phandle", PHANDLE_GPIO);
    fdt_end_node(fdt);

    put(&pin, PHANDLE_GPIO);
    put(&pin, VIRT_POWER_KEY_PIN);
    put(&pin, 0);
    fdt_begin_node(fdt, "gpio-keys");
    fdt_property_string(fdt, "compatible", "gpio-keys");
    fdt_begin_node(fdt, "poweroff");
    fdt_property_string(fdt, "label", "GPIO Key Poweroff");
    fdt_property_u32(fdt, "linux,code", KEY_POWER);
    property_cells(fdt, "gpios", &pin);
    fdt_end_node(fdt);
    fdt_end_node(fdt);
}

static void add_simple_devices(const Virt *virt, void *fdt)
{
    Cells flash = { .count = 0 };

    fdt_begin_node(fdt, "apb-pclk");
    fdt_property_string(fdt, "compatible", "fixed-clock");
    fdt_property_u32(fdt, "#clock-cells", 0);
    fdt_property_u32(fdt, "clock-frequency", APB_CLOCK_HZ);
    fdt_property_string(fdt, "clock-output-names", "clk24mhz");
    fdt_property_u32(fdt, "phandle", PHANDLE_CLOCK);
    fdt_end_node(fdt);

    for (unsigned bank = 0; bank < 2; bank++) {
        put64(&flash, VIRT_FLASH_BASE + bank * VIRT_FLASH_BYTES);
        put64(&flash, VIRT_FLASH_BYTES);
    }
    begin_node(fdt, "flash", VIRT_FLASH_BASE);
    fdt_property_string(fdt, "compatible", "cfi-flash");
    property_cells(fdt, "reg", &flash);
    fdt_property_u32(fdt, "bank-width", 4);
    fdt_end_node(fdt);

    add_uart(fdt, VIRT_UART0, VIRT_SPI_UART0);
    if (virt->uart[1]) {
        add_uart(fdt, VIRT_UART1, VIRT_SPI_UART1);
    }
    begin_node(fdt, "pl031", VIRT_RTC);
    property_strings(fdt, "compatible", "arm,pl031\0arm,primecell");
    property_reg(fdt, VIRT_RTC, 0x1000);
    property_spi(fdt, VIRT_SPI_RTC, IRQ_LEVEL_HIGH);
    property_clock(fdt, "apb_pclk", sizeof "apb_pclk");
    fdt_end_node(fdt);

    begin_node(fdt, "fw-cfg", VIRT_FW_CFG);
    fdt_property_string(fdt, "compatible", "qemu,fw-cfg-mmio");
    property_reg(fdt, VIRT_FW_CFG, 0x18);
    fdt_property(fdt, "dma-coherent", NULL, 0);
    fdt_end_node(fdt);
}

/* INTx of a device rotates with its slot; the map repeats every four slots. */
static void property_interrupt_map(void *fdt)
{
    Cells map = { .count = 0 }, mask = { .count = 0 };

    for (uint32_t slot = 0; slot < 4; slot++) {
        for (uint32_t pin = 0; pin < 4; pin++) {
            put(&map, slot << 11); /* PCI unit address */
            put64(&map, 0);
            put(&map, pin + 1);
            put(&map, PHANDLE_GIC);
            put64(&map, 0); /* GIC unit address */
            put(&map, GIC_SPI);
            put(&map, VIRT_SPI_PCIE + (slot + pin) % 4);
            put(&map, IRQ_LEVEL_HIGH);
        }
    }
    property_cells(fdt, "interrupt-map", &map);
    put(&mask, 3 << 11);
    put64(&mask, 0);
    put(&mask, 7);
    property_cells(fdt, "interrupt-map-mask", &mask);
}

static void put_pci_range(Cells *ranges, uint32_t space, uint64_t child, uint64_t parent,
                          uint64_t size)
{
    put(ranges, space);
    put64(ranges, child);
    put64(ranges, parent);
    put64(ranges, size);
}

static void add_pcie(const Virt *virt, void *fdt)
{
    Cells ranges = { .count = 0 }, buses = { .count = 0 };
    uint64_t ecam = virt->high[VIRT_HIGH_ECAM], ecam_bytes = virt->ecam.size;
    uint64_t mmio_high = virt->high[VIRT_HIGH_MMIO];

    put_pci_range(&ranges, PCI_SPACE_IO, 0, VIRT_PCIE_PIO, VIRT_PCIE_PIO_BYTES);
    put_pci_range(&ranges, PCI_SPACE_MEM32, VIRT_PCIE_MMIO, VIRT_PCIE_MMIO, VIRT_PCIE_MMIO_BYTES);
    if (mmio_high) {
        put_pci_range(&ranges, PCI_SPACE_MEM64, mmio_high, mmio_high, virt->high_mmio_bytes);
    }
    put(&buses, 0);
    put(&buses, (uint32_t)(ecam_bytes >> 20) - 1);
    begin_node(fdt, "pcie", VIRT_PCIE_MMIO);
    fdt_property_string(fdt, "compatible", "pci-host-ecam-generic");
    fdt_property_string(fdt, "device_type", "pci");
    fdt_property_u32(fdt, "#address-cells", 3);
    fdt_property_u32(fdt, "#size-cells", 2);
    fdt_property_u32(fdt, "linux,pci-domain", 0);
    property_cells(fdt, "bus-range", &buses);
    fdt_property(fdt, "dma-coherent", NULL, 0);
    property_reg(fdt, ecam ? ecam : VIRT_PCIE_ECAM_LOW, ecam_bytes);
    property_cells(fdt, "ranges", &ranges);
    fdt_property_u32(fdt, "msi-parent", PHANDLE_V2M);
    fdt_property_u32(fdt, "#interrupt-cells", 1);
    property_interrupt_map(fdt);
    fdt_end_node(fdt);
}

static void add_virtio_slots(const Virt *virt, void *fdt)
{
    for (unsigned slot = 0; slot < virt->mmio_slots; slot++) {
        uint64_t address = VIRT_MMIO + slot * VIRT_MMIO_STRIDE;

        begin_node(fdt, "virtio_mmio", address);
        fdt_property_string(fdt, "compatible", "virtio,mmio");
        property_reg(fdt, address, VIRT_MMIO_STRIDE);
        property_spi(fdt, VIRT_SPI_MMIO + slot, IRQ_EDGE_RISING);
        fdt_property(fdt, "dma-coherent", NULL, 0);
        fdt_end_node(fdt);
    }
}

void *virt_fdt_build(const Virt *virt, GError **error)
{
    enum { TREE_BYTES = 32 * 1024, BYTES_PER_CPU = 512, BYTES_PER_NODE = 128, BYTES_PER_PAIR = 12 };
    const Numa *numa = virt->machine->numa;
    size_t nodes = numa ? numa->count : 0;
    const char *append = virt->machine->config.append;
    size_t compatible = virt->compatible ? strlen(virt->compatible) : 0;
    size_t tree_bytes = TREE_BYTES + (size_t)virt->machine->config.vcpus * BYTES_PER_CPU +
                        nodes * nodes * BYTES_PER_PAIR + compatible;
    size_t size =
        tree_bytes + nodes * BYTES_PER_NODE + VIRT_FDT_SPARE + (append ? strlen(append) : 0);
    void *fdt = g_malloc0(size);
    int status;

    fdt_create(fdt, (int)tree_bytes);
    fdt_finish_reservemap(fdt);
    fdt_begin_node(fdt, "");
    fdt_property_u32(fdt, "interrupt-parent", PHANDLE_GIC);
    fdt_property_string(fdt, "model", "linux,dummy-virt");
    fdt_property_string(fdt, "compatible",
                        virt->compatible ? virt->compatible : "linux,dummy-virt");
    fdt_property_u32(fdt, "#address-cells", 2);
    fdt_property_u32(fdt, "#size-cells", 2);
    fdt_property(fdt, "dma-coherent", NULL, 0);
    add_chosen(virt, fdt);
    add_psci(fdt);
    add_cpus(virt, fdt);
    add_distances(virt, fdt);
    add_timer_and_pmu(virt, fdt);
    add_gic(virt, fdt);
    add_simple_devices(virt, fdt);
    add_gpio(fdt);
    add_pcie(virt, fdt);
    add_virtio_slots(virt, fdt);
    fdt_end_node(fdt);
    /* Errors of the steps above stick in the tree and come out here. */
    status = fdt_finish(fdt);
    if (status == 0) {
        status = fdt_open_into(fdt, fdt, (int)size);
    }
    if (status != 0) {
        g_free(fdt);
        error_fail(error, KASO_ERROR_GENERIC, "cannot build the device tree: %s",
                   fdt_strerror(status));
        return NULL;
    }
    return fdt;
}

void virt_fdt_randomize(Machine *machine, void *fdt)
{
    static const char *const names[] = { "kaslr-seed", "rng-seed" };
    int node = fdt_path_offset(fdt, "/chosen");

    for (unsigned i = 0; node >= 0 && i < ARRAY_SIZE(names); i++) {
        int length = 0;
        void *seed = fdt_getprop_w(fdt, node, names[i], &length);

        /* Without randomness the guest does without it, too. */
        if (seed && length > 0 && !machine_random(machine, seed, (size_t)length)) {
            fdt_nop_property(fdt, node, names[i]);
        }
    }
}
