/* SPDX-License-Identifier: MIT */
/* Helpers of the cryptographic instructions: pure functions, arguments d, n, m. */
#ifndef TARGET_ARM_CRYPTO_HELPERS_H
#define TARGET_ARM_CRYPTO_HELPERS_H

#include "accel/tcg/ir/ir.h"

extern const TcgHelper arm_sha1c_helper, arm_sha1p_helper, arm_sha1m_helper;
extern const TcgHelper arm_sha256h_helper, arm_sha256h2_helper, arm_sha256su0_helper,
    arm_sha256su1_helper;
extern const TcgHelper arm_sha512h_helper, arm_sha512h2_helper, arm_sha512su0_helper,
    arm_sha512su1_helper;
/* SM3SS1: n, m, a; SM3TT: d, n, m and imm: the word of m | kind (1A 1B 2A 2B) << 2 */
extern const TcgHelper arm_sm3ss1_helper, arm_sm3tt_helper, arm_sm3partw1_helper,
    arm_sm3partw2_helper;
extern const TcgHelper arm_sm4e_helper, arm_sm4ekey_helper;

#endif
