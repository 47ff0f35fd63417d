/* SPDX-License-Identifier: MIT */
/* What a file looks like; see the header. Magic numbers are those of the formats' specifications. */
#include "hw/board/image-guess.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>

#include "base/bits.h"

typedef struct {
    size_t offset, length;
    const char *bytes, *guess;
} Magic;

/* The first that fits decides. */
/* clang-format off */
static const Magic magics[] = {
    { 0x202, 4, "HdrS", "a Linux kernel for x86 (bzImage)" },
    { 0x24, 4, "\x18\x28\x6f\x01", "a Linux kernel for 32-bit ARM (zImage)" },
    { 0x38, 4, "RSC\x05", "a Linux kernel for RISC-V" },
    { 0x38, 4, "ARM\x64", "a Linux kernel for 64-bit ARM" },
    { 0, 4, "\x27\x05\x19\x56", "a U-Boot image (uImage); take the kernel out of it with dumpimage" },
    { 0, 4, "\xd0\x0d\xfe\xed", "a device tree (-dtb takes one) or a FIT image" },
    { 0, 5, "07070", "a cpio archive, as initial RAM disks are (-initrd takes one)" },
    { 0, 2, "\x1f\x8b", "data packed by gzip" },
    { 0, 6, "\xfd" "7zXZ", "data packed by xz" },
    { 0, 4, "\x28\xb5\x2f\xfd", "data packed by zstd" },
    { 0, 3, "BZh", "data packed by bzip2" },
    { 0, 4, "\x02\x21\x4c\x18", "data packed by lz4" },
    { 0, 4, "\x04\x22\x4d\x18", "data packed by lz4" },
    { 0, 4, "PK\x03\x04", "a ZIP archive" },
    { 257, 5, "ustar", "a tar archive" },
    { 0, 4, "QFI\xfb", "a qcow2 disk image (-drive takes one)" },
    { 0, 4, "KDMV", "a VMDK disk image (-drive takes one)" },
    { 0, 8, "!<arch>\n", "a package or library (ar archive)" },
    { 0x8001, 5, "CD001", "a CD image (-cdrom takes one)" },
    { 0, 2, "#!", "a script" },
};

static const struct {
    uint16_t machine;
    const char *guess;
} elf_machines[] = {
    { EM_386, "an ELF file for 32-bit x86" },     { EM_X86_64, "an ELF file for x86-64" },
    { EM_ARM, "an ELF file for 32-bit ARM" },     { EM_AARCH64, "an ELF file for 64-bit ARM" },
    { EM_RISCV, "an ELF file for RISC-V" },       { EM_PPC, "an ELF file for PowerPC" },
    { EM_PPC64, "an ELF file for 64-bit PowerPC" }, { EM_S390, "an ELF file for S/390" },
    { EM_MIPS, "an ELF file for MIPS" },          { EM_SPARCV9, "an ELF file for 64-bit SPARC" },
    { EM_68K, "an ELF file for m68k" },           { 258, "an ELF file for LoongArch" },
};

static const struct {
    uint16_t machine;
    const char *guess;
} pe_machines[] = {
    { 0x014c, "an EFI program for 32-bit x86" }, { 0x8664, "an EFI program for x86-64" },
    { 0x01c2, "an EFI program for 32-bit ARM" }, { 0xaa64, "an EFI program for 64-bit ARM" },
    { 0x5064, "an EFI program for RISC-V" },     { 0x6264, "an EFI program for LoongArch" },
};
/* clang-format on */

static bool has(const uint8_t *data, size_t size, size_t offset, const char *bytes, size_t length)
{
    return size >= offset + length && memcmp(data + offset, bytes, length) == 0;
}

static const char *guess_elf(const uint8_t *data, size_t size)
{
    bool big = data[EI_DATA] == ELFDATA2MSB;
    uint16_t machine;

    if (size < 20) {
        return "the beginning of an ELF file";
    }
    machine = big ? data[18] << 8 | data[19] : load_le16(data + 18);
    if (big && machine == EM_AARCH64) {
        return "an ELF file for big-endian 64-bit ARM";
    }
    for (size_t i = 0; i < ARRAY_SIZE(elf_machines); i++) {
        if (elf_machines[i].machine == machine) {
            return elf_machines[i].guess;
        }
    }
    return "an ELF file for another processor";
}

static const char *guess_pe(const uint8_t *data, size_t size)
{
    uint32_t header = size >= 64 ? load_le32(data + 0x3c) : 0;

    if (header > size || size - header < 6 || memcmp(data + header, "PE\0\0", 4) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(pe_machines); i++) {
        if (pe_machines[i].machine == load_le16(data + header + 4)) {
            return pe_machines[i].guess;
        }
    }
    return "an EFI program for another processor";
}

/* Text has no control characters but white space. UTF-8 counts. */
static const char *guess_text(const uint8_t *data, size_t size)
{
    enum { LOOK_AT = 4096, LEAST = 4 };
    size_t length = size < LOOK_AT ? size : LOOK_AT;

    for (size_t i = 0; i < length; i++) {
        if ((data[i] < 0x20 && !strchr("\t\n\r\f", data[i])) || data[i] == 0 || data[i] == 0x7f) {
            return NULL;
        }
    }
    if (length < LEAST) {
        return NULL;
    }
    return data[0] == '<' ? "a web page or XML (was its download refused?)" : "text";
}

const char *image_guess(const uint8_t *data, size_t size)
{
    const char *guess = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
        const Magic *magic = &magics[i];

        if (has(data, size, magic->offset, magic->bytes, magic->length)) {
            return magic->guess;
        }
    }
    if (has(data, size, 0, ELFMAG, SELFMAG)) {
        return guess_elf(data, size);
    }
    if (has(data, size, 0, "MZ", 2)) {
        guess = guess_pe(data, size);
    }
    if (!guess && size >= 512 && data[510] == 0x55 && data[511] == 0xaa) {
        return "a disk image with a boot sector (-drive takes one)";
    }
    return guess ? guess : guess_text(data, size);
}
