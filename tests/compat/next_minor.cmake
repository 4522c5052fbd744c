# next_minor.cmake: writes the headers of the ABI as a next minor could have them. Run as
#   cmake -D FROM=core/abi/include/plimsoll -D TO=<folder>/plimsoll -P next_minor.cmake
# Every struct that can grow gets a field `next` at its end (a number of 32 bits, so that some end in padding; of the tables of sink,
# planner and host a function), kinds of groups and of items get one more, and the minor is one higher. What is not found where it is looked
# for stops the build: the headers have moved on, and this goes with them.
cmake_minimum_required(VERSION 3.25)

function(count text pattern out)
  string(REGEX MATCHALL "${pattern}" found "${text}")
  list(LENGTH found n)
  set(${out} ${n} PARENT_SCOPE)
endfunction()
# replace_once NAME OLD NEW: in the variable NAME.
function(replace_once name old new)
  string(FIND "${${name}}" "${old}" first)
  string(FIND "${${name}}" "${old}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "${FROM}: \"${old}\" stands there not once; bring tests/compat/next_minor.cmake up to the header")
  endif()
  string(REPLACE "${old}" "${new}" out "${${name}}")
  set(${name} "${out}" PARENT_SCOPE)
endfunction()

string(ASCII 1 end)
string(ASCII 2 open)
string(ASCII 3 close)
foreach(header abi pipeline)
  file(READ ${FROM}/${header}.h text)
  # No list may be made of C: brackets and semicolons stand for themselves only outside of it.
  string(REPLACE ";" "${end}" text "${text}")
  string(REPLACE "[" "${open}" text "${text}")
  string(REPLACE "]" "${close}" text "${text}")
  count("${text}" "uint32_t struct_size${end}" sized)
  if(header STREQUAL "abi")
    if(NOT text MATCHES "\n#define PLIMSOLL_ABI_MINOR +([0-9]+)u")
      message(FATAL_ERROR "${FROM}/abi.h has no PLIMSOLL_ABI_MINOR; bring tests/compat/next_minor.cmake up to it")
    endif()
    math(EXPR minor "${CMAKE_MATCH_1} + 1")
    string(REGEX REPLACE "\n#define PLIMSOLL_ABI_MINOR +[0-9]+u" "\n#define PLIMSOLL_ABI_NEXT 1\n#define PLIMSOLL_ABI_MINOR ${minor}u" text "${text}")
    replace_once(text "} plimsoll_str${end}" "  } plimsoll_str${end}") # cannot grow; out of the way of what follows
    replace_once(text "\n} plimsoll_sink${end}" "\n  plimsoll_status (*next)(void* ctx, uint32_t next) PLIMSOLL_NOEXCEPT${end}\n } plimsoll_sink${end}")
    replace_once(text "\n} plimsoll_planner_api${end}"
      "\n  plimsoll_status (*next)(const plimsoll_planner* self, const plimsoll_sink* out) PLIMSOLL_NOEXCEPT${end}\n } plimsoll_planner_api${end}")
    set(after_host "\n\n/* ---- interface \"plimsoll.tensors/1\"")
    replace_once(text "\n}${end}${after_host}"
      "\n  plimsoll_status (*next)(const plimsoll_view* view, uint32_t* out) PLIMSOLL_NOEXCEPT${end}\n }${end}${after_host}")
    replace_once(text "PLIMSOLL_KV_CROSS = 6 " "PLIMSOLL_KV_CROSS = 6, PLIMSOLL_KV_NEXT = 1000 ")
    replace_once(text "PLIMSOLL_BYTES_WORKSPACE = 3 " "PLIMSOLL_BYTES_WORKSPACE = 3, PLIMSOLL_BYTES_NEXT = 1000 ")
  endif()
  string(REGEX REPLACE "\n} (plimsoll_[a-z_]+)${end}" "\n  uint32_t next${end}\n} \\1${end}" text "${text}")
  count("${text}" "(uint32_t next${end}|\\(\\*next\\))" grown)
  if(NOT grown EQUAL sized)
    message(FATAL_ERROR "${FROM}/${header}.h: ${sized} structs have a struct_size, and ${grown} were made to grow; "
      "bring tests/compat/next_minor.cmake up to it")
  endif()
  string(REPLACE "${end}" ";" text "${text}")
  string(REPLACE "${open}" "[" text "${text}")
  string(REPLACE "${close}" "]" text "${text}")
  file(WRITE ${TO}/${header}.h "${text}")
endforeach()
