/* SPDX-License-Identifier: MIT */
/* QARMA-64 against the vectors of its paper (five rounds). */
#include <stdio.h>

#include "target/arm/qarma.h"

int main(void)
{
    static const uint64_t expected[] = { UINT64_C(0x544b0ab95bda7c3a),
                                         UINT64_C(0xc003b93999b33765) };
    int bad = 0;

    for (unsigned sigma = 1; sigma <= 2; sigma++) {
        uint64_t code =
            arm_qarma(UINT64_C(0xfb623599da6e8127), UINT64_C(0x477d469dec0b8762),
                      UINT64_C(0x84be85ce9804e94b), UINT64_C(0xec2802d4e0a488e9), 5, sigma);

        if (code != expected[sigma - 1]) {
            printf("sigma %u: %016llx\n", sigma, (unsigned long long)code);
            bad = 1;
        }
    }
    return bad;
}
