/* SPDX-License-Identifier: MIT */
/*
 * The virt board as a whole, with CPUs that do not run: it builds in each variant, its device tree is
 * complete and right, kernel and registers are set at reset, and wrong options say what is wrong.
 */
#include <libfdt.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "hw/board/virt.h"
#include "tests/device/rig.h"

typedef struct {
    Vcpu vcpu;
    uint64_t x0, pc;
} IdleCpu;

static void idle_set_pc(Vcpu *vcpu, uint64_t pc)
{
    ((IdleCpu *)vcpu)->pc = pc;
}

static uint64_t idle_get_pc(const Vcpu *vcpu)
{
    return ((const IdleCpu *)vcpu)->pc;
}

static const Target idle_target = {
    .name = "idle",
    .cpu_size = sizeof(IdleCpu),
    .registers =
        (const TargetRegister[]){ { .name = "x0", .bits = 64, .offset = offsetof(IdleCpu, x0) },
                                  { 0 } },
    .get_pc = idle_get_pc,
    .set_pc = idle_set_pc,
};

static const CpuModel idle_model = { .name = "cortex-a57", .target = &idle_target };

/* options: "name=value" of -M, NULL-terminated. */
static Machine *make_machine(unsigned cpus, uint64_t ram_bytes, const char *kernel,
                             const char *const *options)
{
    MachineConfig config = {
        .target = &idle_target,
        .board = board_find("virt"),
        .cpu_model = &idle_model,
        .vcpus = cpus,
        .ram_bytes = ram_bytes,
        .kernel = g_strdup(kernel),
        .start_paused = !kernel,
        .board_options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
    };

    for (; options && *options; options++) {
        char **pair = g_strsplit(*options, "=", 2);

        g_hash_table_insert(config.board_options, pair[0], pair[1]);
        g_free(pair);
    }
    return machine_new(&config);
}

static Machine *build(unsigned cpus, uint64_t ram_bytes, const char *kernel,
                      const char *const *options)
{
    Machine *machine = make_machine(cpus, ram_bytes, kernel, options);
    g_autoptr(GError) error = NULL;

    (void)(machine_build(machine, &error) && machine_load(machine, &error));
    g_assert_no_error(error);
    machine_lock(machine);
    machine_reset(machine);
    machine_unlock(machine);
    return machine;
}

static void expect_failure(uint64_t ram_bytes, const char *option, const char *text)
{
    Machine *machine = make_machine(1, ram_bytes, NULL, (const char *const[]){ option, NULL });
    g_autoptr(GError) error = NULL;

    g_assert_false(machine_build(machine, &error) && machine_load(machine, &error));
    if (!strstr(error->message, text)) {
        g_error("'%s' does not say '%s'", error->message, text);
    }
    machine_free(machine);
}

static uint64_t cells(const void *fdt, const char *path, const char *property, unsigned index)
{
    int length = 0;
    const fdt32_t *value = fdt_getprop(fdt, fdt_path_offset(fdt, path), property, &length);

    g_assert_nonnull(value);
    g_assert_cmpint((int)(index + 2) * 4, <=, length);
    return (uint64_t)fdt32_to_cpu(value[index]) << 32 | fdt32_to_cpu(value[index + 1]);
}

static const void *tree_of(Machine *machine)
{
    const Virt *virt = machine->board_state;

    g_assert_cmpint(fdt_check_full(virt->fdt, fdt_totalsize(virt->fdt)), ==, 0);
    return virt->fdt;
}

static void tree(void)
{
    Machine *machine = build(2, MIB(256), NULL, NULL);
    const void *fdt = tree_of(machine);
    int length;

    g_assert_cmphex(cells(fdt, "/memory@40000000", "reg", 0), ==, 0x40000000);
    g_assert_cmphex(cells(fdt, "/memory@40000000", "reg", 2), ==, MIB(256));
    g_assert_cmpstr(fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"), "stdout-path", NULL), ==,
                    "/pl011@9000000");
    g_assert_cmpint(fdt_path_offset(fdt, "serial0"), ==, fdt_path_offset(fdt, "/pl011@9000000"));
    g_assert_cmphex(cells(fdt, "/intc@8000000", "reg", 4), ==, 0x08010000);
    g_assert_cmpint(fdt_path_offset(fdt, "/intc@8000000/v2m@8020000"), >, 0);
    g_assert_cmphex(cells(fdt, "/pcie@10000000", "reg", 0), ==, 0x4010000000);
    g_assert_cmphex(cells(fdt, "/virtio_mmio@a003e00", "reg", 0), ==, 0x0a003e00);
    g_assert_cmphex(cells(fdt, "/virtio_mmio@a003e00", "interrupts", 0), ==, 47);
    /* PPI 11 for both CPUs, high. */
    g_assert_cmphex(cells(fdt, "/timer", "interrupts", 7), ==, UINT64_C(11) << 32 | 0x304);
    fdt_getprop(fdt, fdt_path_offset(fdt, "/pcie@10000000"), "interrupt-map", &length);
    g_assert_cmpint(length, ==, 16 * 10 * 4);
    fdt_getprop(fdt, fdt_path_offset(fdt, "/pcie@10000000"), "ranges", &length);
    g_assert_cmpint(length, ==, 3 * 7 * 4);
    g_assert_cmpint(fdt_path_offset(fdt, "/cpus/cpu@1"), >, 0);
    g_assert_cmpint(fdt_path_offset(fdt, "/cpus/cpu@2"), <, 0);
    machine_free(machine);
}

static void variants(void)
{
    static const char *const gic3[] = { "gic-version=3", "highmem=off", "dtb-randomness=off",
                                        NULL };
    Machine *machine = build(8, GIB(3), NULL, gic3);
    const void *fdt = tree_of(machine);

    g_assert_cmphex(cells(fdt, "/intc@8000000", "reg", 4), ==, 0x080a0000);
    g_assert_cmphex(cells(fdt, "/pcie@10000000", "reg", 0), ==, 0x3f000000);
    g_assert_cmphex(cells(fdt, "/timer", "interrupts", 7), ==, UINT64_C(11) << 32 | 4);
    g_assert_null(fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"), "rng-seed", NULL));
    machine_free(machine);
    machine_free(build(1, GIB(64), NULL, (const char *const[]){ "gic-version=max", NULL }));
    machine_free(build(1, MIB(16), NULL, NULL));
    expect_failure(GIB(4), "highmem=off", "4096 MiB");
    expect_failure(MIB(64), "gic-version=5", "gic-version");
    expect_failure(MIB(64), "gic-version=host", "kvm");
    expect_failure(MIB(64), "secure=on", "secure=on");
    expect_failure(MIB(64), "hihgmem=on", "highmem");
    expect_failure(MIB(64), "virtio-mmio-transports=33", "has room for 32");
    expect_failure(MIB(64), "highmem-mmio-size=768G", "power of two");
    expect_failure(MIB(64), "highmem-mmio-size=256G", "from 512G on");
    expect_failure(MIB(64), "msi=its", "msi=its: not yet");
    expect_failure(MIB(64), "x-oem-id=ME", "not yet: ACPI");
}

/* What scripts choose of the tree: a board's name, fewer slots, a larger window. */
static void chosen_tree(void)
{
    static const char *const options[] = { "dt-compatible=acme,board", "virtio-mmio-transports=2",
                                           "highmem-mmio-size=1T", "msi=gicv2m", NULL };
    Machine *machine = build(1, GIB(1), NULL, options);
    const void *fdt = tree_of(machine);

    g_assert_cmpstr(fdt_getprop(fdt, 0, "compatible", NULL), ==, "acme,board");
    g_assert_cmpint(fdt_path_offset(fdt, "/virtio_mmio@a000200"), >, 0);
    g_assert_cmpint(fdt_path_offset(fdt, "/virtio_mmio@a000400"), <, 0);
    g_assert_cmphex(cells(fdt, "/pcie@10000000", "ranges", 17), ==, UINT64_C(0x10000000000));
    g_assert_cmphex(cells(fdt, "/pcie@10000000", "ranges", 19), ==, UINT64_C(0x10000000000));
    machine_free(machine);
}

static unsigned forty_bits(const CpuModel *model)
{
    return 40;
}

static const Target narrow_target = {
    .name = "idle",
    .cpu_size = sizeof(IdleCpu),
    .physical_bits = forty_bits,
    .registers = (const TargetRegister[]){ { 0 } },
    .get_pc = idle_get_pc,
    .set_pc = idle_set_pc,
};

static const CpuModel narrow_model = { .name = "cortex-a53", .target = &narrow_target };

typedef struct {
    uint64_t ram_bytes;
    unsigned cpus;
    const CpuModel *model;
    uint64_t redist, ecam, mmio; /* as QEMU 7.2 places them; 0: not there */
    const char *option;
} HighMap;

static void check_high_map(const HighMap *m)
{
    const char *const options[] = { "gic-version=3", m->option, NULL };
    Machine *machine = make_machine(m->cpus, m->ram_bytes, NULL, options);
    g_autofree char *last =
        g_strdup_printf("/cpus/cpu@%x", (m->cpus - 1) / 16 << 8 | (m->cpus - 1) % 16);
    g_autoptr(GError) error = NULL;
    const void *fdt;
    int length;

    machine->config.target = m->model->target;
    machine->config.cpu_model = m->model;
    (void)(machine_build(machine, &error) && machine_load(machine, &error));
    g_assert_no_error(error);
    fdt = tree_of(machine);
    g_assert_cmphex(cells(fdt, "/pcie@10000000", "reg", 0), ==, m->ecam);
    fdt_getprop(fdt, fdt_path_offset(fdt, "/pcie@10000000"), "ranges", &length);
    g_assert_cmpint(length, ==, m->mmio ? 3 * 7 * 4 : 2 * 7 * 4);
    if (m->mmio) {
        g_assert_cmphex(cells(fdt, "/pcie@10000000", "ranges", 14 + 3), ==, m->mmio);
    }
    fdt_getprop(fdt, fdt_path_offset(fdt, "/intc@8000000"), "reg", &length);
    g_assert_cmpint(length, ==, m->redist ? 3 * 16 : 2 * 16);
    if (m->redist) {
        uint64_t typer;

        g_assert_cmphex(cells(fdt, "/intc@8000000", "reg", 8), ==, m->redist);
        /* The first of the second region is the CPU that follows the last of the first. */
        address_space_read(&machine->memory_space, m->redist + 8, &typer, 8, MEMORY_ATTRIBUTES_DMA);
        g_assert_cmphex(typer >> 8 & 0xffff, ==, 123);
        address_space_read(&machine->memory_space, VIRT_GIC_REDIST + 122 * 0x20000 + 8, &typer, 8,
                           MEMORY_ATTRIBUTES_DMA);
        g_assert_cmphex(typer, ==, UINT64_C(0x70a) << 32 | 122 << 8 | 1 << 4);
        address_space_read(&machine->memory_space, m->redist + (m->cpus - 124) * 0x20000 + 8,
                           &typer, 8, MEMORY_ATTRIBUTES_DMA);
        g_assert_cmphex(typer & 0xffffff, ==, (m->cpus - 1) << 8 | 1 << 4);
    }
    g_assert_cmpint(fdt_path_offset(fdt, last), >, 0);
    machine_free(machine);
}

/* The last byte of 1 TiB of RAM is there, and RAM that is not touched costs nothing. */
static void sparse(void)
{
    Machine *machine = build(1, GIB(1024), NULL, NULL);
    const uint64_t last = VIRT_RAM_BASE + GIB(1024) - 8;
    uint64_t value = 0;

    address_space_write(&machine->memory_space, last, 0x1234567, 8, MEMORY_ATTRIBUTES_DMA);
    address_space_read(&machine->memory_space, last, &value, 8, MEMORY_ATTRIBUTES_DMA);
    g_assert_cmphex(value, ==, 0x1234567);
    g_assert_cmphex(cells(tree_of(machine), "/memory@40000000", "reg", 2), ==, GIB(1024));
    machine_free(machine);
}

static void high(void)
{
    static const HighMap maps[] = {
        { MIB(256), 123, &idle_model, 0, 0x4010000000, 0x8000000000, NULL },
        { MIB(256), 124, &idle_model, 0x4000000000, 0x4010000000, 0x8000000000, NULL },
        { MIB(256), 512, &narrow_model, 0x4000000000, 0x4010000000, 0x8000000000, NULL },
        { GIB(255), 2, &idle_model, 0, 0x4010000000, 0x8000000000, NULL },
        { GIB(255) + MIB(512), 2, &idle_model, 0, 0x4050000000, 0x8000000000, NULL },
        { GIB(300), 2, &idle_model, 0, 0x4b50000000, 0x8000000000, NULL },
        { GIB(700), 1, &narrow_model, 0, 0xaf50000000, 0, NULL },
        { GIB(1024), 200, &idle_model, 0x10040000000, 0x10050000000, 0x18000000000, NULL },
        { GIB(2), 1, &idle_model, 0, 0x3f000000, 0, "highmem=off" },
        { GIB(2), 1, &idle_model, 0, 0x4000000000, 0x8000000000, "highmem-redists=off" },
        { GIB(2), 1, &idle_model, 0, 0x3f000000, 0x8000000000, "highmem-ecam=off" },
        { GIB(2), 1, &idle_model, 0, 0x4010000000, 0, "highmem-mmio=off" },
    };
    Machine *machine = make_machine(9, MIB(64), NULL, NULL);
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
        check_high_map(&maps[i]);
    }
    g_assert_false(machine_build(machine, &error));
    g_assert_nonnull(strstr(error->message, "gic-version=3"));
    machine_free(machine);
}

/* dtc accepts the tree without a warning but for those about style. */
static void compiler(void)
{
    g_autofree char *path = g_strdup_printf("%s/kaso-tree-XXXXXX", g_get_tmp_dir());
    g_autofree char *option = NULL, *out = NULL, *problems = NULL, *dtc = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    dtc = g_find_program_in_path("dtc");
    if (!dtc) {
        g_test_skip("dtc is not installed (package device-tree-compiler)");
        return;
    }
    close(g_mkstemp(path));
    option = g_strdup_printf("dumpdtb=%s", path);
    machine_free(build(200, GIB(1), NULL, (const char *const[]){ option, "gic-version=3", NULL }));
    g_spawn_sync(
        NULL,
        (char *[]){ dtc, (char *)"-I", (char *)"dtb", (char *)"-O", (char *)"dts", path, NULL },
        NULL, 0, NULL, NULL, &out, &problems, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    g_assert_cmpstr(problems, ==, "");
    g_assert_nonnull(strstr(out, "arm,cortex-a57"));
    unlink(path);
}

static void reset(void)
{
    g_autofree char *path = g_strdup_printf("%s/kaso-kernel-XXXXXX", g_get_tmp_dir());
    uint8_t image[4096] = { 0 }, back[4096];
    uint8_t seeds[2][32];
    Machine *machine;
    IdleCpu *cpu, *second;

    memcpy(image + 0x38, "ARM\x64", 4);
    store_le64(image + 16, 8192);
    memset(image + 64, 0xa5, 1000);
    close(g_mkstemp(path));
    g_file_set_contents(path, (const char *)image, sizeof image, NULL);
    machine = build(2, MIB(64), path, NULL);
    cpu = machine->vcpus->pdata[0];
    second = machine->vcpus->pdata[1];
    g_assert_cmphex(cpu->pc, ==, 0x40000000);
    g_assert_true(atomic_load(&cpu->vcpu.powered));
    g_assert_false(atomic_load(&second->vcpu.powered));
    g_assert_cmphex(load_be32(machine->ram.host + (cpu->x0 - 0x40000000)), ==, FDT_MAGIC);
    for (unsigned i = 0; i < 2; i++) {
        const void *fdt = machine->ram.host + (cpu->x0 - 0x40000000);
        const void *seed = fdt_getprop(fdt, fdt_path_offset(fdt, "/chosen"), "rng-seed", NULL);

        memcpy(seeds[i], seed, 32);
        memset(machine->ram.host, 0xff, 8192); /* what a guest may have done to its kernel */
        cpu->pc = 0;
        machine_lock(machine);
        ((Virt *)machine->board_state)->boot.has_run = true;
        machine_reset(machine);
        machine_unlock(machine);
        address_space_read_bytes(&machine->memory_space, 0x40000000, back, sizeof back,
                                 MEMORY_ATTRIBUTES_DMA);
        g_assert_cmpmem(back, sizeof back, image, sizeof image);
        g_assert_cmphex(machine->ram.host[8191], ==, 0); /* its bss */
        g_assert_cmphex(cpu->pc, ==, 0x40000000);
    }
    g_assert_cmpint(memcmp(seeds[0], seeds[1], 32), !=, 0);
    machine_free(machine);
    unlink(path);
}

static void power_key(void)
{
    Machine *machine = build(1, MIB(64), NULL, NULL);
    const Virt *virt = machine->board_state;
    uint64_t value;
    MemoryAttributes cpu = { .vcpu = 0 };

    machine_lock(machine);
    machine->board->powerdown(machine, machine->board_state);
    address_space_read(&machine->memory_space, 0x09030000 + 0x3fc, &value, 4, cpu);
    g_assert_cmphex(value, ==, 1 << 3);
    g_assert_true(timer_is_armed(&virt->power_key_release));
    machine_unlock(machine);
    machine_free(machine);
}

static void read_item(AddressSpace *space, uint16_t key, void *buffer, size_t size)
{
    MemoryAttributes cpu = { .vcpu = 0 };
    uint64_t value;

    address_space_write(space, 0x09020008, __builtin_bswap16(key), 2, cpu);
    for (size_t i = 0; i < size; i++) {
        address_space_read(space, 0x09020000, &value, 1, cpu);
        ((char *)buffer)[i] = (char)value;
    }
}

/* A file of the firmware's, read as it does: its key is in the directory. */
static void read_file(AddressSpace *space, const char *name, void *buffer, size_t size)
{
    enum { ENTRY = 64 };
    uint8_t directory[4 + 32 * ENTRY];

    read_item(space, 0x19, directory, sizeof directory);
    for (unsigned i = 0; i < load_be32(directory); i++) {
        const uint8_t *entry = directory + 4 + i * ENTRY;

        if (strcmp((const char *)entry + 8, name) == 0) {
            read_item(space, load_be16(entry + 4), buffer, size);
            return;
        }
    }
    g_assert_not_reached();
}

/* The file "bootorder". */
static void boot_order(void)
{
    Machine *machine = build(1, MIB(64), NULL, NULL);
    AddressSpace *space = &machine->memory_space;
    g_autoptr(GError) error = NULL;
    Device *disk =
        device_create(machine, NULL, "virtio-net-pci", bus_find(machine, "pcie.0"), "n", &error);
    char text[64];

    g_assert_no_error(error);
    machine_lock(machine);
    device_set(disk, "bootindex", "1", &error);
    device_set(disk, "addr", "05.0", &error);
    device_realize(disk, &error);
    g_assert_no_error(error);
    machine_reset(machine);
    read_file(space, "bootorder", text, sizeof text);
    g_assert_cmpstr(text, ==, "/pci@ffffffffffffffff/ethernet@5/ethernet-phy@0");
    machine_unlock(machine);
    machine_free(machine);
}

static void wiring(void)
{
    Machine *machine = build(2, MIB(64), NULL, NULL);
    AddressSpace *space = &machine->memory_space;
    MemoryAttributes cpu = { .vcpu = 1 };
    Vcpu *vcpu = machine->vcpus->pdata[1];
    uint64_t value;

    machine_lock(machine);
    address_space_write(space, 0x08000000, 1, 4, cpu);    /* GICD_CTLR */
    address_space_write(space, 0x08000104, 2, 4, cpu);    /* SPI 1 on */
    address_space_write(space, 0x08000821, 2, 1, cpu);    /* to CPU 1 */
    address_space_write(space, 0x08010004, 0xff, 4, cpu); /* GICC_PMR */
    address_space_write(space, 0x08010000, 1, 4, cpu);    /* GICC_CTLR */
    g_assert_cmphex(atomic_load(&vcpu->interrupts), ==, 0);
    address_space_write(space, 0x09000038, 1 << 5, 4, cpu); /* UARTIMSC: transmit */
    address_space_write(space, 0x09000000, 'x', 4, cpu);
    g_assert_cmphex(atomic_load(&vcpu->interrupts), ==, 1u << ARM_LINE_IRQ);
    address_space_read(space, 0x0801000c, &value, 4, cpu);
    g_assert_cmphex(value, ==, 33);
    g_assert_cmphex(atomic_load(&vcpu->interrupts), ==, 0);
    /* A message through the frame. */
    address_space_write(space, 0x09000044, 0x7ff, 4, cpu);
    address_space_write(space, 0x08010010, 33, 4, cpu);
    address_space_write(space, 0x08000c00 + 80 / 16 * 4, 2, 4, cpu); /* edge */
    address_space_write(space, 0x08000800 + 80, 2, 1, cpu);
    address_space_write(space, 0x08000100 + 80 / 32 * 4, 1 << 80 % 32, 4, cpu);
    address_space_write(space, 0x08020040, 80, 4, MEMORY_ATTRIBUTES_DMA);
    g_assert_cmphex(atomic_load(&vcpu->interrupts), ==, 1u << ARM_LINE_IRQ);
    machine_unlock(machine);
    machine_free(machine);
}

void test_virt(void)
{
    g_test_add_func("/virt/tree", tree);
    g_test_add_func("/virt/variants", variants);
    g_test_add_func("/virt/chosen-tree", chosen_tree);
    g_test_add_func("/virt/high", high);
    g_test_add_func("/virt/sparse", sparse);
    g_test_add_func("/virt/compiler", compiler);
    g_test_add_func("/virt/reset", reset);
    g_test_add_func("/virt/power-key", power_key);
    g_test_add_func("/virt/boot-order", boot_order);
    g_test_add_func("/virt/wiring", wiring);
}
