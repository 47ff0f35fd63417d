/* SPDX-License-Identifier: MIT */
/* The files of the `virt` board: its memory map, interrupt map and state. */
#ifndef HW_BOARD_VIRT_H
#define HW_BOARD_VIRT_H

#include "hw/board/arm-boot.h"
#include "machine/arch/arm.h"
#include "machine/machine.h"

/* Guest physical addresses, as software built for QEMU's "virt" expects them. */
#define VIRT_FLASH_BASE           UINT64_C(0x00000000)
#define VIRT_FLASH_BYTES          UINT64_C(0x04000000) /* of each of two banks */
#define VIRT_GIC_DIST             UINT64_C(0x08000000)
#define VIRT_GIC_CPU              UINT64_C(0x08010000)
#define VIRT_GIC_V2M              UINT64_C(0x08020000)
#define VIRT_GIC_REDIST           UINT64_C(0x080a0000)
#define VIRT_GIC_REDIST_BYTES     UINT64_C(0x00f60000)
#define VIRT_UART0                UINT64_C(0x09000000)
#define VIRT_RTC                  UINT64_C(0x09010000)
#define VIRT_FW_CFG               UINT64_C(0x09020000)
#define VIRT_GPIO                 UINT64_C(0x09030000)
#define VIRT_UART1                UINT64_C(0x09040000)
#define VIRT_MMIO                 UINT64_C(0x0a000000)
#define VIRT_MMIO_STRIDE          UINT64_C(0x200)
#define VIRT_PCIE_MMIO            UINT64_C(0x10000000)
#define VIRT_PCIE_MMIO_BYTES      UINT64_C(0x2eff0000)
#define VIRT_PCIE_PIO             UINT64_C(0x3eff0000)
#define VIRT_PCIE_PIO_BYTES       UINT64_C(0x00010000)
#define VIRT_PCIE_ECAM_LOW        UINT64_C(0x3f000000)
#define VIRT_PCIE_ECAM_LOW_BYTES  MIB(16)
#define VIRT_RAM_BASE             UINT64_C(0x40000000)
/* Above RAM, but never below this, lie the high regions, each at a multiple of its size. */
#define VIRT_HIGH_LEAST           GIB(256)
#define VIRT_HIGH_REDIST_BYTES    MIB(64)
#define VIRT_PCIE_ECAM_HIGH_BYTES MIB(256)
#define VIRT_PCIE_MMIO_HIGH_BYTES GIB(512)

/* Shared peripheral interrupts; INTID is 32 more. */
enum {
    VIRT_SPI_UART0 = 1,
    VIRT_SPI_RTC = 2,
    VIRT_SPI_PCIE = 3, /* INTA to INTD */
    VIRT_SPI_GPIO = 7,
    VIRT_SPI_UART1 = 8,
    VIRT_SPI_MMIO = 16,
    VIRT_SPI_MSI = 48,

    VIRT_MMIO_SLOTS = 32,
    VIRT_MSI_COUNT = 64,
    VIRT_IRQS = 288,
    VIRT_MAX_VCPUS = 512,
    VIRT_GICV2_MAX_VCPUS = 8,
    VIRT_REDIST_STRIDE = 0x20000,
    VIRT_POWER_KEY_PIN = 3,
};

typedef enum { VIRT_GIC_2, VIRT_GIC_3, VIRT_GIC_MAX, VIRT_GIC_HOST } VirtGic;

/* In the order of their addresses. */
typedef enum { VIRT_MSI_AUTO, VIRT_MSI_GICV2M, VIRT_MSI_ITS, VIRT_MSI_OFF } VirtMsi;
typedef enum { VIRT_HIGH_REDIST, VIRT_HIGH_ECAM, VIRT_HIGH_MMIO, VIRT_HIGH_COUNT } VirtHigh;

typedef struct {
    Device device;

    /* properties */
    int gic_version;
    bool high_wanted[VIRT_HIGH_COUNT], high_compact;
    bool highmem, its, dtb_randomness;
    int acpi, msi;
    uint64_t high_mmio_bytes;
    uint8_t mmio_slots;
    char *dumpdtb, *kernel_irqchip, *iommu, *compatible;
    BlockBackend *pflash[2];

    Machine *machine;
    Device *gic, *v2m, *uart[2], *gpio, *fw_cfg, *flash[2], *pcie;
    uint64_t high[VIRT_HIGH_COUNT]; /* address, 0: not there */
    MemoryRegion ecam, pcie_mmio, pcie_mmio_high, pcie_pio;
    Timer power_key_release;
    bool has_firmware;
    ArmBoot boot;
    void *fdt;
} Virt;

static inline bool virt_has_gicv3(const Virt *virt)
{
    return virt->gic_version != VIRT_GIC_2;
}

/* How many CPUs' redistributors are in the first region. */
static inline unsigned virt_first_redistributors(const Virt *virt)
{
    return MIN(virt->machine->config.vcpus, (unsigned)(VIRT_GIC_REDIST_BYTES / VIRT_REDIST_STRIDE));
}

/* Places the high regions; fails when RAM or CPUs do not fit. */
bool virt_place_high(Virt *virt, GError **error);

/* Room in the tree that virt_fdt_build makes for arm_boot_amend_dtb, beyond the command line. */
enum { VIRT_FDT_SPARE = 4096 };

/* The board's device tree; NULL with an error. Free with g_free. */
void *virt_fdt_build(const Virt *virt, GError **error);
/* Puts new random numbers into /chosen; a tree without them stays as it is. */
void virt_fdt_randomize(Machine *machine, void *fdt);

#endif
