/* SPDX-License-Identifier: MIT */
/*
 * Where debug traps come, and where they do not, in 64-bit mode. The handler of #DB notes where each one came and with which
 * bits of DR6. Cases are run one by one; each has what must have been noted behind it.
 *
 * A flat binary for 0x8000, which begins with what test-traps-x86.c reads.
 */
        .set END_PORT, 0x5f4
        .set B0, 1
        .set BS, 0x4000
        .set RF, 0x10000
        .set TF, 0x102
        .set IOPL_3, 0x3002
        .set EXECUTION, 1           /* DR7: breakpoint 0 is on code, or on reads of 2 bytes */
        .set ACCESS, 0x70001

        .text
        .long   on_debug, on_breakpoint, on_syscall, log_end, cases
        .data
cases:
        .text

/* A case: its name, code, RFLAGS, DR0, DR7 and SFMASK; traps follow, and the end of the list. */
.macro case name flags=0 dr0=0 dr7=0 sfmask=0
        .pushsection .data
        .balign 8
        .quad   name_\name, code_\name, \flags, \dr0, \dr7, \sfmask
        .popsection
        .pushsection .rodata
name_\name:
        .asciz  "\name"
        .popsection
code_\name:
.endm
.macro trap where bits
        .pushsection .data
        .quad   \where, \bits
        .popsection
.endm
.macro end
        .pushsection .data
        .quad   0
        .popsection
        mov     $END_PORT, %dx
        out     %al, %dx
        jmp     .
.endm
/* TF off, at any level: the load itself still traps. */
.macro step_off flags=2
        pushq   $\flags
1:      popfq
2:      nop
        trap    1b BS
        trap    2b BS
.endm

on_debug:
        push    %rax
        push    %rbx
        mov     log_end, %rbx
        mov     16(%rsp), %rax
        mov     %rax, (%rbx)
        mov     %dr6, %rax
        and     $(B0 | BS), %eax
        mov     %rax, 8(%rbx)
        addq    $16, log_end
        orl     $RF, 32(%rsp) /* as a breakpoint on code wants it */
        mov     $0xffff0ff0, %eax
        mov     %rax, %dr6
        pop     %rbx
        pop     %rax
        iretq
on_breakpoint:
        nop
        iretq


/* --- TF --- */

case step TF
        nop
        trap    1f BS
1:      step_off
        end

case step_int3 TF
        nop
1:      int3
        trap    1b BS
        nop
        trap    2f BS
2:      step_off
        end

case step_int TF
        int     $3
        nop
        trap    1f BS
1:      step_off
        end

case step_int1 TF
        .byte 0xf1 /* INT1: not all assemblers know it */
1:      nop
        trap    1b 0
        trap    2f BS
2:      step_off
        end

case step_sti TF
        sti
        trap    1f BS
1:      cli
        trap    2f BS
2:      step_off
        end

case step_mov_ss TF
        mov     %ss, %eax
        trap    1f BS
1:      mov     %eax, %ss
        nop
        trap    2f BS
2:      step_off
        end

case step_lss TF
        lss     stack_pointer, %esp
        trap    1f BS
1:      step_off
        end

/* --- data and code --- */

case data flags=2 dr0=selector dr7=ACCESS
        mov     selector, %ax
        trap    1f B0
1:      nop
        end

case data_mov_ss flags=2 dr0=selector dr7=ACCESS
        mov     selector, %ss
        nop
        trap    1f B0
1:      nop
        end

case data_step_mov_ss TF dr0=selector dr7=ACCESS
        mov     selector, %ss
        nop
        trap    1f 0x4001
1:      step_off
        end

case data_mov_ss_int3 flags=2 dr0=selector dr7=ACCESS
        mov     selector, %ss
        int3
        trap    on_breakpoint B0
        end

case data_mov_ss_int1 flags=2 dr0=selector dr7=ACCESS
        mov     selector, %ss
        .byte 0xf1 /* INT1: not all assemblers know it */
        trap    1f B0
1:      nop
        end

case data_mov_ss_syscall flags=2 dr0=selector dr7=ACCESS
        mov     selector, %ss
        syscall
        trap    on_syscall B0
        end

case code flags=2 dr0=2f dr7=EXECUTION
        mov     %ss, %eax
        trap    2f B0
2:      nop
        end

case code_mov_ss flags=2 dr0=2f dr7=EXECUTION
        mov     %ss, %eax
        mov     %eax, %ss
2:      nop
        end

/* --- system calls --- */

case step_syscall TF sfmask=0x100
        syscall
        nop
        end

case step_syscall_kept TF
        syscall
        trap    on_syscall BS
        trap    on_syscall_jump BS
        trap    1f BS
1:      step_off
        end

case step_sysret flags=2
        mov     $1f, %ecx
        mov     $(IOPL_3 + 0x100), %r11d
        sysretq
        hlt
1:      nop
        trap    1b BS
        trap    2f BS
2:      step_off IOPL_3
        end

case sysret_from_step TF
        mov     $1f, %ecx
        trap    2f BS
2:      mov     $IOPL_3, %r11d
        trap    3f BS
3:      sysretq
        hlt
1:      nop
        end

/* --- null selectors do not keep their RPL on the way out --- */

case null_selectors flags=2
        mov     $1, %eax
        mov     %eax, %ds
        inc     %eax
        mov     %eax, %es
        inc     %eax
        mov     %eax, %fs
        mov     %eax, %gs
        mov     $0x12345000, %eax
        wrgsbase %rax
        mov     %rsp, %rbx
        push    $0x1b
        push    %rbx
        push    $IOPL_3
        push    $0x23
        push    $1f
        iretq
1:      mov     %ds, %eax
        mov     %es, %ecx
        or      %ecx, %eax
        mov     %fs, %ecx
        or      %ecx, %eax
        mov     %gs, %ecx
        or      %ecx, %eax
        rdgsbase %rcx
        sub     $0x12345000, %ecx
        or      %ecx, %eax
        jz      1f
        .byte 0xf1 /* INT1: not all assemblers know it */
1:      nop
        end

on_syscall:
        nop
on_syscall_jump:
        jmp     *%rcx

        .data
        .quad   0
log_end:
        .quad   0
stack_pointer:
        .long   0x7000
selector:
        .word   0x10
