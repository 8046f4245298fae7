# SPDX-License-Identifier: Apache-2.0
# Instruction sets are enabled per file, by the file's name; everything else is built for the baseline. For another
# machine those files are empty, and its compiler would not know the options.
include(CheckCSourceCompiles)
check_c_source_compiles("#ifndef __x86_64__\n#error another machine\n#endif\nint main(void) { return 0; }" INSITU_X86_64)

function(insitu_isa_flags)
  if(NOT INSITU_X86_64)
    return()
  endif()
  foreach(source ${ARGN})
    if(source MATCHES "/x86/.*_avx512vnni\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni;-mavx512vbmi;-mavx2;-mfma;-mprefer-vector-width=512")
    elseif(source MATCHES "/x86/.*_avx512\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx2;-mfma;-mprefer-vector-width=512")
    elseif(source MATCHES "/x86/.*_avx2\\.c$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma")
    endif()
  endforeach()
endfunction()
