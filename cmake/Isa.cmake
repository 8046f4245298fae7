# SPDX-License-Identifier: Apache-2.0
# Instruction sets are enabled per file, by the file's name; everything else is built for the baseline.
function(insitu_isa_flags)
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
