/* SPDX-License-Identifier: MIT */
/* Look-up of boards by name or alias. */
#include "machine/board.h"

#include "machine/target.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/names.h"

static const NotYet boards_not_yet[] = {
    { "amd-versal-virt amd-versal2-virt anacapa-bmc ast1040-evb ast1060-evb ast2700a2-evb "
      "catalina-bmc imx8mm-evk "
      "akita ast1030-evb ast2500-evb ast2600-evb ast2700-evb ast2700a1-evb ast2700fc "
      "b-l475e-iot01a "
      "bletchley-bmc borzoi bpim2u canon-a1100 cheetah collie connex cubieboard emcraft-sf2 fby35 "
      "fby35-bmc fp5280g2-bmc fuji-bmc g220a-bmc gb200nvl-bmc highbank imx25-pdk imx8mp-evk "
      "integratorcp kudo-bmc kzm lm3s6965evb lm3s811evb mainstone mcimx6ul-evk mcimx7d-sabre "
      "microbit "
      "midway mori-bmc mps2-an385 mps2-an386 mps2-an500 mps2-an505 mps2-an511 mps2-an521 "
      "mps3-an524 "
      "mps3-an536 mps3-an547 musca-a musca-b1 musicpal n800 n810 netduino2 netduinoplus2 "
      "npcm750-evb "
      "npcm845-evb nuri olimex-stm32-h405 orangepi-pc palmetto-bmc qcom-dc-scm-v1-bmc "
      "qcom-firework-bmc quanta-gbs-bmc quanta-gsj quanta-q71l-bmc rainier-bmc raspi0 raspi1ap "
      "raspi2 "
      "raspi2b raspi3 raspi3ap raspi3b raspi4b realview-eb realview-eb-mpcore realview-pb-a8 "
      "realview-pbx-a9 romulus-bmc sabrelite sbsa-ref smdkc210 sonorapass-bmc spitz "
      "stm32vldiscovery "
      "supermicro-x11spi-bmc supermicrox11-bmc sx1 sx1-v1 tacoma-bmc terrier tiogapass-bmc tosa "
      "verdex "
      "versatileab versatilepb vexpress-a15 vexpress-a9 vmapple witherspoon-bmc x-remote "
      "xilinx-zynq-a9 xlnx-versal-virt xlnx-versal2-virt xlnx-zcu102 yosemitev2-bmc z2",
      "use virt" },
    { "microvm nitro xenfv xenpv xenpvh", "use pc" },
    { "pc-0.* pc-1.0 pc-1.1 pc-1.2 pc-1.3", "the oldest is pc-i440fx-1.4" },
    { "2009 40p A400 B160L C3700 KIT_AURIX_TC277_TRB LX SPARCClassic SPARCbook SS-10 SS-20 SS-4 "
      "SS-5 SS-600MP Voyager "
      "amd-microblaze-v-generic amigaone an5206 arduino-* bamboo boston boston-aia clipper "
      "fuloong2e g3beige gdbsim-* "
      "k230 kc705 leon3_generic loongson3-virt lx200 lx60 mac99 magnum malta mcf5208evb mega "
      "mega2560 "
      "microchip-icicle-kit mipssim ml605 mpc8544ds next-cube niagara opentitan or1k-sim pegasos1 "
      "pegasos2 "
      "petalogix-* pica61 powernv powernv1* powernv8 powernv9 ppce500 ppe42_machine pseries "
      "pseries-* q800 r2d "
      "s390-ccw-virtio s390-ccw-virtio-* sam460ex shakti_c sifive_e sifive_u sim spike sun4u sun4v "
      "tricore_testboard "
      "uno virtex-ml507 xiangshan-kunminghu xlnx-zynqmp-pmu",
      "its processor is not, either" },
    { 0 },
};

static const char *board_name(const void *object, unsigned index)
{
    const Board *board = object;
    const char *const *alias = board->aliases;

    for (unsigned i = 1; index && alias && *alias && i < index; i++) {
        alias++;
    }
    return index == 0 ? board->name : alias ? *alias : NULL;
}

static const NameKind board_kind = { "machine", "-M help", boards_not_yet, board_name };

static bool has_extra(const Board *board, const char *type)
{
    return board->extras && g_strv_contains(board->extras, type);
}

bool board_takes(const Board *board, const DeviceType *type)
{
    const Board *const *it;

    if (type->board_only || type->bus || type->anywhere) {
        return !type->board_only;
    }
    REGISTRY_FOREACH(boards, it) {
        if ((!board || board == *it) && has_extra(*it, type->name)) {
            return true;
        }
    }
    return false;
}

const Board *board_find(const char *name)
{
    return REGISTRY_FIND(boards, &board_kind, name, NULL);
}

bool board_runs(const Board *board, const Target *target)
{
    return g_strv_contains(board->targets, target->name);
}

enum { LAST_RELEASE = 1101 }; /* whose names the boards have */

/*
 * "virt-8.2" asks for the board as some release had it; ours is one that all of them fit. Returns the name without the
 * release, which goes to *release; caller frees.
 */
static char *without_release(const char *name, unsigned *release)
{
    const char *dash = strrchr(name, '-');
    unsigned major, minor;
    int length = 0;

    *release = 0;
    if (!dash || !g_ascii_isdigit(dash[1]) ||
        sscanf(dash + 1, "%3u.%2u%n", &major, &minor, &length) != 2 || dash[1 + length]) {
        return g_strdup(name);
    }
    *release = major * 100 + minor;
    return g_strndup(name, (gsize)(dash - name));
}

const Board *board_get(const char *name, GError **error)
{
    unsigned release;
    g_autofree char *plain = without_release(name, &release);
    const Board *board = board_find(name), *any = board_find(plain);

    if (board) {
        return board;
    }
    if (any && release > LAST_RELEASE) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "there is no machine '%s': the last release that is known is %d.%d", name,
                   LAST_RELEASE / 100, LAST_RELEASE % 100);
        return NULL;
    }
    return any && any->first_release && release >= any->first_release && release <= LAST_RELEASE
               ? any
               : REGISTRY_FIND(boards, &board_kind, name, error);
}
