/* SPDX-License-Identifier: MIT */
#include <stdio.h>

int main(void)
{
    puts("kaso");
    return 0;
}
