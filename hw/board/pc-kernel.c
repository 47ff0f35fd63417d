/* SPDX-License-Identifier: MIT */
/*
 * -kernel on a PC: what the file is, where its images go, and what the firmware gets to know of it. Firmware that starts
 * kernels itself (OVMF) takes the images from fw_cfg; SeaBIOS runs our option ROM, boot-rom.S.
 */
#include "hw/board/pc-kernel.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "hw/board/image-guess.h"
#include "hw/nvram/fw_cfg.h"

extern const uint8_t boot_rom[], boot_rom_end[], boot_rom_parameters[];

enum {
    FIRMWARE_TOP_BYTES = 0x40000, /* of low RAM, for ACPI tables */
    ROM_PNP = 0x20,
    ROM_PNP_CHECKSUM = 0x29,
    ROM_PNP_SIZE = 0x20,
    ROM_CHECKSUM = 0x06, /* behind the jump to the initialization */
};

/* boot-rom.S knows the offsets. */
typedef struct {
    uint32_t address, size;
    uint16_t key, unused;
} BootRomItem;
typedef struct {
    uint8_t protected_mode, has_dma;
    uint16_t item_count;
    uint32_t entry, stack, eax, ebx;
    uint32_t map, map_count;
    uint16_t map_unit, map_most;
    uint32_t map_upper;
    BootRomItem items[PC_KERNEL_ITEMS];
} BootRomParameters;
G_STATIC_ASSERT(offsetof(BootRomParameters, items) == 36);
G_STATIC_ASSERT(sizeof(BootRomItem) == 12 && sizeof(BootRomParameters) == 132);

void pc_kernel_add(PcKernel *kernel, GBytes *content, uint64_t address, uint16_t data_key,
                   uint16_t size_key, uint16_t address_key)
{
    g_assert(kernel->image_count < PC_KERNEL_ITEMS);
    kernel->images[kernel->image_count++] =
        (PcImage){ content, address, data_key, size_key, address_key };
}

const char *pc_kernel_command_line(const PcKernel *kernel)
{
    const char *append = kernel->pc->machine->config.append;

    return append ? append : "";
}

uint64_t pc_kernel_place_high(const PcKernel *kernel, uint64_t size, uint64_t limit)
{
    uint64_t top = kernel->pc->ram_low;

    top = MIN(top > FIRMWARE_TOP_BYTES ? top - FIRMWARE_TOP_BYTES : 0, limit);
    return size < top ? align_down(top - size, 4096) : 0;
}

/* --- ELF --- */

/* A program header in the wider form. */
static Elf64_Phdr program_header(const PcKernel *kernel, bool wide, uint64_t offset)
{
    Elf64_Phdr header;
    Elf32_Phdr narrow;

    if (wide) {
        memcpy(&header, kernel->data + offset, sizeof header);
        return header;
    }
    memcpy(&narrow, kernel->data + offset, sizeof narrow);
    return (Elf64_Phdr){ .p_type = narrow.p_type,
                         .p_offset = narrow.p_offset,
                         .p_paddr = narrow.p_paddr,
                         .p_vaddr = narrow.p_vaddr,
                         .p_filesz = narrow.p_filesz,
                         .p_memsz = narrow.p_memsz };
}

static bool read_header(const PcKernel *kernel, Elf64_Ehdr *header)
{
    Elf32_Ehdr narrow;

    if (kernel->size < sizeof *header || memcmp(kernel->data, ELFMAG, SELFMAG) != 0 ||
        kernel->data[EI_DATA] != ELFDATA2LSB) {
        return false;
    }
    if (kernel->data[EI_CLASS] == ELFCLASS64) {
        memcpy(header, kernel->data, sizeof *header);
        return header->e_machine == EM_X86_64 && header->e_phentsize == sizeof(Elf64_Phdr);
    }
    memcpy(&narrow, kernel->data, sizeof narrow);
    *header = (Elf64_Ehdr){ .e_entry = narrow.e_entry,
                            .e_phoff = narrow.e_phoff,
                            .e_phnum = narrow.e_phnum,
                            .e_phentsize = narrow.e_phentsize };
    return kernel->data[EI_CLASS] == ELFCLASS32 && narrow.e_machine == EM_386 &&
           narrow.e_phentsize == sizeof(Elf32_Phdr);
}

typedef void SegmentVisitor(const PcKernel *kernel, const Elf64_Phdr *segment, void *opaque);

/* False when the headers or a segment's bytes are not in the file. */
static bool visit_segments(const PcKernel *kernel, const Elf64_Ehdr *header, uint32_t type,
                           SegmentVisitor *visit, void *opaque)
{
    bool wide = kernel->data[EI_CLASS] == ELFCLASS64;

    if (header->e_phoff > kernel->size ||
        (uint64_t)header->e_phnum * header->e_phentsize > kernel->size - header->e_phoff) {
        return false;
    }
    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment =
            program_header(kernel, wide, header->e_phoff + (uint64_t)i * header->e_phentsize);

        if (segment.p_type != type) {
            continue;
        }
        if (segment.p_offset > kernel->size || segment.p_filesz > kernel->size - segment.p_offset ||
            segment.p_filesz > segment.p_memsz ||
            segment.p_paddr + segment.p_memsz < segment.p_paddr) {
            return false;
        }
        visit(kernel, &segment, opaque);
    }
    return true;
}

typedef struct {
    uint64_t low, high;
    uint64_t virtual_entry,
        entry; /* as the file has it, and where that is in memory: nothing is mapped yet */
    uint8_t *image;
} ElfImage;

/* The range of all segments; a virtual entry point becomes its physical one. */
static void measure(const PcKernel *kernel, const Elf64_Phdr *segment, void *opaque)
{
    ElfImage *elf = opaque;

    if (!segment->p_memsz) {
        return;
    }
    if (elf->virtual_entry - segment->p_vaddr < segment->p_memsz) {
        elf->entry = elf->virtual_entry - segment->p_vaddr + segment->p_paddr;
    }
    elf->low = MIN(elf->low, segment->p_paddr);
    elf->high = MAX(elf->high, segment->p_paddr + segment->p_memsz);
}

static bool measure_all(const PcKernel *kernel, const Elf64_Ehdr *header, ElfImage *elf)
{
    elf->entry = elf->virtual_entry = header->e_entry;
    return visit_segments(kernel, header, PT_LOAD, measure, elf) && elf->high > elf->low;
}

static void place(const PcKernel *kernel, const Elf64_Phdr *segment, void *opaque)
{
    ElfImage *elf = opaque;

    if (segment->p_memsz) {
        memcpy(elf->image + (segment->p_paddr - elf->low), kernel->data + segment->p_offset,
               segment->p_filesz);
    }
}

GBytes *pc_kernel_read_elf(const PcKernel *kernel, uint64_t *address, uint64_t *entry,
                           GError **error)
{
    const char *path = kernel->pc->machine->config.kernel;
    ElfImage elf = { .low = UINT64_MAX };
    Elf64_Ehdr header;

    if (!read_header(kernel, &header) || !measure_all(kernel, &header, &elf)) {
        error_fail(error, KASO_ERROR_INVALID,
                   "kernel '%s': it is no x86 ELF program, or its headers are damaged", path);
        return NULL;
    }
    if (elf.low < 0x1000 || elf.high > kernel->pc->ram_low) {
        error_fail(error, KASO_ERROR_INVALID,
                   "kernel '%s' wants to be at %#" PRIx64 " to %#" PRIx64
                   ", which is not in RAM below 4 GiB (%" PRIu64 " MiB; more with -m)",
                   path, elf.low, elf.high, kernel->pc->ram_low >> 20);
        return NULL;
    }
    elf.image = g_malloc0(elf.high - elf.low);
    visit_segments(kernel, &header, PT_LOAD, place, &elf);
    *address = elf.low;
    *entry = elf.entry;
    return g_bytes_new_take(elf.image, elf.high - elf.low);
}

/* --- the option ROM --- */

static uint8_t sum(const uint8_t *data, size_t size)
{
    uint8_t total = 0;

    for (size_t i = 0; i < size; i++) {
        total = (uint8_t)(total + data[i]);
    }
    return total;
}

static void fill_parameters(const PcKernel *kernel, BootRomParameters *parameters)
{
    *parameters = (BootRomParameters){
        .protected_mode = kernel->protected_mode,
        .has_dma = fw_cfg_has_dma(kernel->pc->fw_cfg),
        .entry = kernel->entry,
        .stack = kernel->stack,
        .eax = kernel->eax,
        .ebx = kernel->ebx,
        .map = kernel->map,
        .map_count = kernel->map_count,
        .map_unit = kernel->map_unit,
        .map_upper = kernel->map_upper,
        .map_most = PC_KERNEL_MAP_ENTRIES,
    };
    for (unsigned i = 0; i < kernel->image_count; i++) {
        const PcImage *image = &kernel->images[i];
        uint32_t size = (uint32_t)g_bytes_get_size(image->content);

        if (size) {
            parameters->items[parameters->item_count++] =
                (BootRomItem){ (uint32_t)image->address, size, image->data_key, 0 };
        }
    }
}

static bool add_boot_rom(const PcKernel *kernel, GError **error)
{
    size_t size = (size_t)(boot_rom_end - boot_rom);
    uint8_t *rom = g_memdup2(boot_rom, size);
    g_autoptr(GBytes) content = g_bytes_new_take(rom, size);
    BootRomParameters parameters;

    fill_parameters(kernel, &parameters);
    memcpy(rom + (boot_rom_parameters - boot_rom), &parameters, sizeof parameters);
    rom[ROM_PNP_CHECKSUM] = (uint8_t)-sum(rom + ROM_PNP, ROM_PNP_SIZE);
    rom[ROM_CHECKSUM] = (uint8_t)-sum(rom, size);
    return fw_cfg_add_file(kernel->pc->fw_cfg, "genroms/" PC_BOOT_ROM, content, error);
}

/* --- the kinds --- */

static const struct {
    bool (*recognise)(const PcKernel *kernel);
    bool (*load)(PcKernel *kernel, GError **error);
} formats[] = {
    { pc_linux_recognise, pc_linux_load },
    { pc_multiboot_recognise, pc_multiboot_load },
    { pc_pvh_recognise, pc_pvh_load },
};

static bool unknown_format(const PcKernel *kernel, GError **error)
{
    const char *guess = image_guess(kernel->data, kernel->size);

    return error_fail(error, KASO_ERROR_INVALID,
                      "kernel '%s': it is no bzImage, no multiboot and no PVH kernel%s%s",
                      kernel->pc->machine->config.kernel, guess ? "; it looks like " : "",
                      guess ? guess : "");
}

static bool load(PcKernel *kernel, GError **error)
{
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        if (formats[i].recognise(kernel)) {
            return formats[i].load(kernel, error);
        }
    }
    return unknown_format(kernel, error);
}

static void offer(const PcKernel *kernel)
{
    Device *fw_cfg = kernel->pc->fw_cfg;

    for (unsigned i = 0; i < kernel->image_count; i++) {
        const PcImage *image = &kernel->images[i];

        fw_cfg_add(fw_cfg, image->data_key, image->content);
        if (image->size_key) {
            fw_cfg_add_u32(fw_cfg, image->size_key, (uint32_t)g_bytes_get_size(image->content));
        }
        if (image->address_key) {
            fw_cfg_add_u32(fw_cfg, image->address_key, (uint32_t)image->address);
        }
    }
    fw_cfg_add_u32(fw_cfg, FW_CFG_KERNEL_ENTRY, kernel->entry);
}

bool pc_add_kernel(Pc *pc, GError **error)
{
    PcKernel kernel = { .pc = pc };
    gsize size;
    bool ok;

    kernel.file = pc_read_file("kernel", pc->machine->config.kernel, GIB(2), error);
    if (!kernel.file) {
        return false;
    }
    kernel.data = g_bytes_get_data(kernel.file, &size);
    kernel.size = size;
    ok = load(&kernel, error);
    if (ok) {
        offer(&kernel);
        ok = add_boot_rom(&kernel, error);
    }
    pc->boot_rom = ok;
    for (unsigned i = 0; i < kernel.image_count; i++) {
        g_bytes_unref(kernel.images[i].content);
    }
    g_bytes_unref(kernel.file);
    return ok;
}
