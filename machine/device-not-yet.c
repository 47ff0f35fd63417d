/* SPDX-License-Identifier: MIT */
/* Devices that users of other emulators know, and that are not built; what is built comes out of the list. */
#include "machine/private.h"

/* clang-format off */
const NotYet device_types_not_yet[] = {
    { "am53c974 dc390 emmc ide-cf lsi lsi53c810 "
      "lsi53c895a megasas megasas-gen2 mptsas1068 nand nvme-subsys piix4-ide "
      "pvscsi scsi-block scsi-generic sd-card sd-card-spi sdhci-pci ufs "
      "vhost-scsi vhost-scsi-pci vhost-scsi-pci-non-transitional "
      "vhost-scsi-pci-transitional vhost-user-blk vhost-user-blk-pci "
      "vhost-user-blk-pci-non-transitional vhost-user-blk-pci-transitional vhost-user-scsi "
      "vhost-user-scsi-pci vhost-user-scsi-pci-non-transitional vhost-user-scsi-pci-transitional",
      "use virtio-blk-pci" },
    { "i82550 i82551 i82557a i82557b i82557c "
      "i82558a i82558b i82559a i82559b i82559c i82559er i82562 i82801 igb "
      "pvrdma rocker tulip usb-net vmxnet3 xen-net-device",
      "use virtio-net-pci" },
    { "pci-bridge-seat", "use pci-bridge" },
    { "ati-vga qxl qxl-vga vmware-svga", "use VGA" },
    { "vhost-user-vga virtio-vga-gl virtio-vga-rutabaga", "use virtio-vga" },
    { "vhost-user-gpu-pci virtio-gpu-gl-pci virtio-gpu-rutabaga-pci", "use virtio-gpu-pci" },
    { "vhost-user-rng-pci", "use virtio-rng-pci" },
    { "vhost-user-snd-pci", "use virtio-sound-pci" },
    { "sga", "leave it out: SeaBIOS writes to the serial port by itself with -nographic" },
    { "adlib cs4231a gus", "use sb16" },
    { "usb-wacom-tablet", "use usb-tablet" },
    { "pci-ohci", "use piix3-usb-uhci" },
    { "virtio-*-ccw vhost-*-ccw zpci s390-* sclp* spapr-* pnv-* ppc-* power*-cpu riscv-* riscv.* sifive* loongarch_* "
      "mips-* 25csm04 adm1266 aspeed-* aspeed.* axp209_pmu axp221_pmu cfam dm163 fsi.* mock-i3c-target mt35xu02gbba "
      "pca9535 pca9554 rs5c372 sbsa-gwdt tpm-tis-i2c tpm-spapr vhost-user-scmi vhost-user-scmi-pci w25q02jvm "
      "x-terminal3270 virtual-css-bridge intel-ntb vfio-* cxl-* pxb* tdx-* sev-* xen-*",
      NULL },
    { "*-arm-cpu *-x86_64-cpu 160s33b 320s33b 640s33b AMDVI-PCI acpi-erst "
      "adm1272 ads7846 amd-iommu arm-smmuv3 aspeed.i2c.slave at24c-eeprom at25128a-nonjedec "
      "at25256a-nonjedec at25df041a at25df321a at25df641 at25fs010 at25fs040 at26df081a at26df161a "
      "at26df321 at26f004 at45db081d bcm2835-cprman-clock-mux bcm2835-cprman-dsi0hsck-mux "
      "bcm2835-cprman-pll bcm2835-cprman-pll-channel ccid-card-emulated "
      "ccid-card-passthru corgi-ssp ctucan_pci cxl-downstream cxl-rp "
      "cxl-switch-mailbox-cci cxl-type3 cxl-upstream dpcd dps310 ds1338 emc1413 emc1414 en25f32 en25p32 "
      "en25p64 en25q32b en25q64 gd25q32 gd25q64 "
      "hv-balloon hv-syndbg hyperv-testdev i2c-ddc i2c-echo "
      "intel-iommu iommu-testdev "
      "ipmi-bmc-extern ipmi-bmc-sim ipoctal232 is25lp016d is25lp032 is25lp064 is25lp080d is25lp128 "
      "is25lp256 is25lq040b is25wp032 is25wp064 is25wp128 is25wp256 isa-applesmc "
      "isa-ipmi-bt isa-ipmi-kcs isl69259 isl69260 "
      "ivshmem-doorbell ivshmem-plain kvaser_pci led lm8323 lsm303dlhc_mag m25p05 m25p10 m25p128 "
      "m25p16 m25p20 m25p32 m25p40 m25p64 m25p80 m25pe16 m25pe20 m25pe80 m25px32 m25px32-s0 m25px32-s1 "
      "m25px64 m41t80 m45pe10 m45pe16 m45pe80 max1110 max1111 max31785 max34451 max7310 "
      "mioe3680_pci mt25ql01g mt25ql02g mt25ql512ab mt25qu01g mt25qu02g mt35xu01g mx25l12805d "
      "mx25l12855e mx25l1606e mx25l2005a mx25l25635e mx25l25635f mx25l25655e mx25l3205d mx25l4005a "
      "mx25l6405d mx25l8005 mx66l1g45g mx66l51235f mx66u1g45g mx66u51235f n25q00 n25q00a n25q032 "
      "n25q032a11 n25q032a13 n25q064 n25q064a11 n25q064a13 n25q128 n25q128a11 n25q128a13 n25q256a "
      "n25q256a11 n25q256a13 n25q512a n25q512a11 n25q512a13 n25q512ax3 nitro-heartbeat "
      "nitro-serial-vsock npcm7xx-clock-divider npcm7xx-clock-pll npcm7xx-clock-sel nvdimm pc-dimm "
      "pca9546 pca9548 pca9552 pci-ipmi-bt pci-ipmi-kcs "
      "pcm3680_pci pxa2xx-i2c-slave "
      "pxb pxb-cxl pxb-pcie raa228000 raa229004 s25fl016k s25fl064k "
      "s25fl129p0 s25fl129p1 s25fl256s0 s25fl256s1 s25fl512s s25fs512s s25sl004a s25sl008a s25sl016a "
      "s25sl032a s25sl032p s25sl064a s25sl064p s25sl12800 s25sl12801 s70fl01gs s70fs01gs "
      "sii9022 smbus-ipmi sp-mem spitz-lcdtg ssd0303 ssd0323 sst25vf016b sst25vf032b "
      "sst25vf040b sst25vf080b sst25wf010 sst25wf020 sst25wf040 sst25wf080 sst25wf512 tmp105 tmp421 "
      "tmp422 tmp423 tosa-ssp tosa_dac tpci200 tpm-crb tpm-tis tpm-tis-device twl92230 u2f-passthru "
      "uefi-vars-sysbus uefi-vars-x64 ufs-lu usb-braille usb-ccid usb-host "
      "usb-mtp usb-redir vfio-amd-xgbe vfio-ap "
      "vfio-calxeda-xgmac vfio-ccw vfio-pci vfio-pci-igd-lpc-bridge vfio-pci-nohotplug vfio-platform "
      "vfio-user-pci vhost-user-fs-device vhost-user-fs-pci vhost-user-gpio-device vhost-user-gpio-pci "
      "vhost-user-gpu vhost-user-i2c-device vhost-user-i2c-pci vhost-user-input "
      "vhost-user-input-pci vhost-user-rng vhost-user-rtc vhost-user-rtc-pci "
      "vhost-user-snd vhost-user-spi-device vhost-user-spi-pci "
      "vhost-user-test-device vhost-user-test-device-pci vhost-user-vsock-device "
      "vhost-user-vsock-pci vhost-user-vsock-pci-non-transitional vhost-vdpa-device "
      "vhost-vdpa-device-pci vhost-vdpa-device-pci-non-transitional vhost-vdpa-device-pci-transitional "
      "vhost-vsock-device vhost-vsock-pci vhost-vsock-pci-non-transitional "
      "virtio-crypto-device virtio-crypto-pci "
      "virtio-gpu-gl virtio-gpu-rutabaga "
      "virtio-gpu-rutabaga-device virtio-input-host virtio-input-host-device "
      "virtio-input-host-pci virtio-iommu virtio-iommu-device virtio-iommu-pci "
      "virtio-mem virtio-mem-pci "
      "virtio-pmem "
      "virtio-pmem-pci "
      "vmbus-bridge vmclock w25q01jvq "
      "w25q256 w25q32 w25q32dw w25q512jv w25q64 w25q80 w25q80bl w25x10 w25x16 w25x20 w25x32 w25x40 "
      "w25x64 w25x80 wm8750 x-pci-proxy-dev xen-backend xen-cdrom xen-console xen-disk "
      "xen-platform xlnx,efuse",
      NULL },
    { 0 },
};
/* clang-format on */
