/* SPDX-License-Identifier: MIT */
/*
 * What the debugger finds in a guest's memory that lies: kernels, UEFI, ACPI, SMBIOS, device trees, page tables, descriptor tables. The
 * input is pieces that are laid into RAM: where (in units of 16 bytes), how often one behind the other, how long, and the bytes.
 */
#include <string.h>

#include "base/bits.h"
#include "debug/backtrace.h"
#include "debug/firmware/acpi.h"
#include "debug/firmware/device-tree.h"
#include "debug/firmware/smbios.h"
#include "debug/firmware/uefi.h"
#include "debug/linux/dmesg.h"
#include "debug/linux/linux.h"
#include "debug/linux/tasks.h"
#include "machine/accelerator.h"
#include "target/i386/control.h"
#include "target/i386/describe.h"
#include "target/i386/mmu.h"
#include "tests/fuzz/fuzz.h"
#include "tests/isa/rig-x86.h"

enum { PIECE_HEADER = 8, RAM_USED = 8 << 20, UNIT = 16 };

static void take_record(void *opaque, const LinuxLogRecord *record)
{
    *(unsigned *)opaque += *record->text;
}

static void take_node(void *opaque, unsigned depth, const char *path)
{
    *(unsigned *)opaque += depth + *path;
}

static void take_property(void *opaque, unsigned depth, const char *name, const char *value)
{
    *(unsigned *)opaque += *name + *value;
}

static void take_row(void *opaque, const SystemTableRow *row)
{
    *(unsigned *)opaque += row->number;
}

static void look_for_firmware(Machine *machine)
{
    unsigned sum = 0;
    const DeviceTreeVisitor visitor = { take_node, take_property, &sum };
    g_autoptr(GArray) trees = device_trees_find(machine);
    g_autoptr(GArray) variables = uefi_variables(machine);
    AcpiInfo *acpi = acpi_info_find(machine);
    SmbiosInfo *smbios = smbios_info_find(machine);
    UefiInfo *uefi = uefi_info_find(machine);

    g_array_unref(uefi_memory_map(machine));
    for (guint i = 0; i < trees->len; i++) {
        device_tree_visit(&g_array_index(trees, DeviceTree, i), NULL, &visitor);
    }
    for (guint i = 0; i < variables->len; i++) {
        g_free(uefi_boot_description(&g_array_index(variables, UefiVariable, i)));
    }
    g_clear_pointer(&acpi, acpi_info_free);
    g_clear_pointer(&smbios, smbios_info_free);
    g_clear_pointer(&uefi, uefi_info_free);
}

static void look_for_kernel(X86Rig *rig)
{
    LinuxKernel *kernel = linux_kernel_find(rig->machine, NULL);
    unsigned sum = 0;

    g_array_unref(backtrace_vcpu(rig->machine, &rig->cpu->vcpu, 32));
    if (kernel) {
        linux_types(kernel, NULL);
        linux_log_foreach(kernel, take_record, &sum, NULL);
    }
}

static void look_at_tables(X86Rig *rig)
{
    g_autofree PageWalk *walk = g_new0(PageWalk, 1);
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned sum = 0;

    x86_walk_page(&rig->cpu->vcpu, rig->cpu->cr2, walk);
    x86_describe_mappings(&rig->cpu->vcpu, true, text);
    for (const char *const *name = x86_system_tables; *name; name++) {
        SystemTable table = { .row = take_row, .opaque = &sum };

        x86_read_table(&rig->cpu->vcpu, *name, &table);
    }
}

/* The first byte chooses the mode; the next 16 are CR3, CR2, and where the descriptor tables are. */
static void set_registers(X86Cpu *cpu, const uint8_t *data)
{
    cpu->cr3 = (uint64_t)load_le32(data + 1) << 4 & 0xfffff000;
    cpu->cr2 = (uint64_t)bits_sign_extend(load_le32(data + 5) * UINT64_C(0x100001), 48);
    cpu->gdtr.base = cpu->idtr.base = load_le32(data + 9);
    cpu->gdtr.limit = cpu->idtr.limit = load_le16(data + 13);
    cpu->cr4 = CR4_PAE | (data[0] & 1 ? CR4_LA57 : 0) | (data[0] & 2 ? CR4_SMAP | CR4_SMEP : 0);
    cpu->efer = data[0] & 4 ? 0 : EFER_LME | EFER_LMA | EFER_NXE;
    cpu->cr0 = CR0_PE | (data[0] & 8 ? 0 : CR0_PG) | (data[0] & 16 ? CR0_WP : 0);
}

static void lay_pieces(uint8_t *ram, const uint8_t *data, size_t size)
{
    memset(ram, 0, RAM_USED);
    while (size > PIECE_HEADER) {
        size_t at = (load_le32(data) & 0xffffff) * UINT64_C(16) % RAM_USED,
               length = load_le16(data + 6);
        unsigned times = load_le16(data + 4) + 1u;

        data += PIECE_HEADER;
        size -= PIECE_HEADER;
        length = MIN(length, size);
        for (; times && length && at + length <= RAM_USED; times--) {
            memcpy(ram + at, data, length);
            at = align_up(at + length, 8);
        }
        data += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { REGISTERS = 15 };
    static X86Rig rig;

    if (!rig.machine && !x86_rig_open(&rig, "max", true)) {
        return 0;
    }
    if (size < REGISTERS) {
        return 0;
    }
    machine_exclusive_begin(rig.machine);
    lay_pieces(rig.ram, data + REGISTERS, size - REGISTERS);
    set_registers(rig.cpu, data);
    look_at_tables(&rig);
    look_for_firmware(rig.machine);
    look_for_kernel(&rig);
    machine_exclusive_end(rig.machine);
    return 0;
}
