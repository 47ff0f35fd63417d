/* SPDX-License-Identifier: MIT */
/*
 * The names that boards of this kind have had, and the few differences between them that guests see. All other
 * names of that form mean the newest.
 */
#include <stdio.h>

#include "hw/board/pc.h"

typedef struct {
    unsigned major, minor; /* the last version that it is true of */
    void (*apply)(PcVersion *version);
} PcDifference;

static void no_fw_cfg_dma(PcVersion *version)
{
    version->fw_cfg_dma = false;
}

static void fw_cfg_unsorted(PcVersion *version)
{
    version->fw_cfg_sorted = false;
}

static void legacy_virtio(PcVersion *version)
{
    version->virtio_modern = false;
}

static void no_pci_hole64(PcVersion *version)
{
    version->pci_hole64 = false;
}

static void no_tcg_cpuid(PcVersion *version)
{
    version->tcg_cpuid = false;
}

static void uuid_in_order(PcVersion *version)
{
    version->uuid_in_order = true;
}

static void no_queue_reset(PcVersion *version)
{
    version->queue_reset = false;
}

static void no_hypertransport(PcVersion *version)
{
    version->hypertransport = false;
}

static void no_scsi_fua(PcVersion *version)
{
    version->scsi_fua = false;
}

static void small_tseg(PcVersion *version)
{
    version->extended_tseg_mib = "16";
}

static void small_dimms(PcVersion *version)
{
    version->dimm_most = GIB(16);
}

static void small_firmware(PcVersion *version)
{
    version->firmware = "bios.bin";
    version->align_gigabyte = false;
}

static const PcDifference differences[] = {
    { 1, 7, small_firmware },  { 2, 1, uuid_in_order },     { 2, 4, no_fw_cfg_dma },
    { 2, 5, fw_cfg_unsorted }, { 2, 6, legacy_virtio },     { 2, 8, no_tcg_cpuid },
    { 2, 10, no_pci_hole64 },  { 7, 0, no_hypertransport }, { 7, 1, no_queue_reset },
    { 9, 0, small_dimms },     { 10, 0, no_scsi_fua },      { 10, 1, small_tseg },
};

PcVersion pc_version(const char *board_name)
{
    PcVersion version = {
        .fw_cfg_dma = true,
        .fw_cfg_sorted = true,
        .virtio_modern = true,
        .queue_reset = true,
        .pci_hole64 = true,
        .tcg_cpuid = true,
        .scsi_fua = true,
        .hypertransport = true,
        .align_gigabyte = true,
        .firmware = "bios-256k.bin",
    };
    unsigned major, minor;

    if (sscanf(board_name, "pc-i440fx-%u.%u", &major, &minor) != 2 &&
        sscanf(board_name, "pc-q35-%u.%u", &major, &minor) != 2) {
        return version;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(differences); i++) {
        const PcDifference *d = &differences[i];

        if (major < d->major || (major == d->major && minor <= d->minor)) {
            d->apply(&version);
        }
    }
    return version;
}
