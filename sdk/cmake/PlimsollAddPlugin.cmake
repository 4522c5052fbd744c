# plimsoll_add_plugin: builds one planner plugin, a folder with plugin.yaml and libplimsoll_<id>.so.
# For the families under plugins/, the SDK's examples and vendors. It links the header-only SDK and nothing else
# of ours; the library shows the world one symbol, the plugin table.
#
#   plimsoll_add_plugin([NAME <id>] [SOURCES <file>...] [MANIFEST plugin.yaml] [TARGET <target>] [OUTPUT_DIR <folder>] [INSTALL])
#
#   NAME        the plugin's id and the name of its folder; anything but letters, digits, - . and _ is refused. Default: the manifest's
#   SOURCES     C or C++ files, relative to the caller; none for a plugin without code, whose manifest names no library: it is copied
#   MANIFEST    default plugin.yaml; copied beside the library whenever it changes, as are the models and gguf files that it names,
#               which lie beside it
#   TARGET      default plimsoll_<id>, - and . replaced by _
#   OUTPUT_DIR  folder of folders, default <build>/lib/plimsoll/plugins
#   INSTALL     `cmake --install` puts the folder to lib/plimsoll/plugins of the prefix, where hosts look below /usr, /usr/local and their own
#
# The sources see plimsoll_identity.h, made from the manifest by `plimsoll plugins identity`: what the library says of itself
# is written once. In the tree the command is the target plimsoll_cli, if PLIMSOLL_PROGRAM does not name another build's; elsewhere
# PLIMSOLL_PROGRAM, the command of the package that was found, or the one on the PATH. A manifest that no host would take, as one with an
# unknown key, stops the configuration with the host's own words (in the tree, where the command is not built yet, the build).
#
# Why each flag: hidden visibility keeps two plugins' inline functions and template statics apart, the version
# script and --exclude-libs also cover static archives built without it; -z defs turns a forgotten symbol into a
# link error (dropped under sanitizers, whose runtime lives in the program); --disable-new-dtags keeps
# LD_LIBRARY_PATH from replacing what a plugin ships beside itself.
include_guard(GLOBAL)

# What makes identities, and what they must be made anew for. plimsoll_cli may be defined later: names are looked up at generation.
function(plimsoll_identity_program program depends)
  if(TARGET plimsoll_objects AND NOT PLIMSOLL_PROGRAM)
    set(${program} plimsoll_cli PARENT_SCOPE)
    set(${depends} plimsoll_cli PARENT_SCOPE)
    return()
  endif()
  if(NOT PLIMSOLL_PROGRAM AND Plimsoll_PROGRAM) # of the package, which may be another one at the next configuration
    set(${program} "${Plimsoll_PROGRAM}" PARENT_SCOPE)
    set(${depends} "${Plimsoll_PROGRAM}" PARENT_SCOPE)
    return()
  endif()
  find_program(PLIMSOLL_PROGRAM plimsoll DOC "The command plimsoll, which makes a plugin's identity from its manifest")
  if(NOT PLIMSOLL_PROGRAM)
    message(FATAL_ERROR "plimsoll_add_plugin: the command plimsoll, which reads manifests, is not on the PATH; "
      "give -DPLIMSOLL_PROGRAM=<plimsoll's build or installation>/bin/plimsoll")
  endif()
  set(${program} "${PLIMSOLL_PROGRAM}" PARENT_SCOPE)
  set(${depends} "${PLIMSOLL_PROGRAM}" PARENT_SCOPE)
endfunction()

# The manifest's own id: of JSON, or what stands behind id: where a line of YAML begins with it.
function(plimsoll_id_of manifest id)
  file(READ "${manifest}" text)
  string(JSON found ERROR_VARIABLE no_json GET "${text}" id)
  if(no_json)
    if(NOT "\n${text}" MATCHES "\n[\"']?id[\"']?[ \t]*:[ \t]*[\"']?([A-Za-z0-9_.-]+)")
      message(FATAL_ERROR "plimsoll_add_plugin: no line of ${manifest} begins with id:; write one, or give NAME")
    endif()
    set(found "${CMAKE_MATCH_1}")
  endif()
  set(${id} "${found}" PARENT_SCOPE)
endfunction()

# The files beside a manifest that it names as its families' `models` and `gguf`. One that is not there yet is looked for again.
function(plimsoll_named_files manifest files)
  get_filename_component(folder "${manifest}" DIRECTORY)
  file(READ "${manifest}" text)
  string(REGEX MATCHALL "[\"']?(models|gguf)[\"']?[ \t]*:[ \t]*[\"']?[A-Za-z0-9_.-]+" named "${text}")
  set(found)
  foreach(entry IN LISTS named)
    string(REGEX REPLACE "^.*[: \t\"']" "" name "${entry}")
    if(EXISTS "${folder}/${name}" AND NOT IS_DIRECTORY "${folder}/${name}")
      list(APPEND found "${folder}/${name}")
    elseif(name MATCHES "\\.json$")
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${folder}/${name}")
    endif()
  endforeach()
  list(REMOVE_DUPLICATES found)
  set(${files} "${found}" PARENT_SCOPE)
endfunction()

# A target that copies a manifest and what it names. Rules of their own, so that an edited manifest is copied without relinking.
function(plimsoll_copy_beside target folder manifest named)
  set(copies)
  foreach(file "${manifest}" ${named})
    get_filename_component(name "${file}" NAME)
    if(file STREQUAL manifest)
      set(name plugin.yaml)
    endif()
    add_custom_command(OUTPUT "${folder}/${name}"
      COMMAND ${CMAKE_COMMAND} -E copy "${file}" "${folder}/${name}"
      DEPENDS "${file}" VERBATIM)
    list(APPEND copies "${folder}/${name}")
  endforeach()
  add_custom_target(${target} ALL DEPENDS ${copies})
endfunction()

function(plimsoll_add_plugin)
  cmake_parse_arguments(PARSE_ARGV 0 arg "INSTALL" "NAME;MANIFEST;TARGET;OUTPUT_DIR" "SOURCES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "plimsoll_add_plugin: unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_MANIFEST)
    set(arg_MANIFEST plugin.yaml)
  endif()
  get_filename_component(manifest "${arg_MANIFEST}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  if(NOT EXISTS "${manifest}")
    message(FATAL_ERROR "plimsoll_add_plugin(NAME ${arg_NAME}): no manifest at ${manifest}")
  endif()
  if(NOT arg_NAME)
    plimsoll_id_of("${manifest}" arg_NAME)
  endif()
  if(NOT arg_NAME MATCHES "^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    message(FATAL_ERROR "plimsoll_add_plugin: NAME \"${arg_NAME}\" is not an id: letters, digits, - . and _ make one")
  endif()
  string(REGEX REPLACE "[.-]" "_" plain_name "${arg_NAME}")
  if(NOT arg_TARGET)
    set(arg_TARGET plimsoll_${plain_name})
  endif()
  if(NOT arg_OUTPUT_DIR)
    set(arg_OUTPUT_DIR "${CMAKE_BINARY_DIR}/lib/plimsoll/plugins")
  endif()
  set(exports "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.version")
  set(folder "${arg_OUTPUT_DIR}/${arg_NAME}")

  # Which files it names is known anew where it changes.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${manifest}")
  if(NOT arg_SOURCES)
    file(STRINGS "${manifest}" library REGEX "^[^#]*[\"']?library[\"']?[ \t]*:")
    if(library)
      message(FATAL_ERROR "plimsoll_add_plugin(NAME ${arg_NAME}): SOURCES is missing, but ${manifest} names a library")
    endif()
    plimsoll_copy_beside(${arg_TARGET} "${folder}" "${manifest}" "")
    if(arg_INSTALL)
      install(FILES "${manifest}" DESTINATION lib/plimsoll/plugins/${arg_NAME} RENAME plugin.yaml)
    endif()
    return()
  endif()

  add_library(${arg_TARGET} MODULE ${arg_SOURCES})
  target_link_libraries(${arg_TARGET} PRIVATE Plimsoll::sdk)
  set_target_properties(${arg_TARGET} PROPERTIES
    PREFIX lib
    OUTPUT_NAME plimsoll_${arg_NAME}
    LIBRARY_OUTPUT_DIRECTORY "${folder}"
    C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON
    LINK_DEPENDS "${exports}"
    SKIP_BUILD_RPATH ON
    PLIMSOLL_PLUGIN_DIR "${folder}")
  target_link_options(${arg_TARGET} PRIVATE
    "LINKER:--version-script=${exports}"
    LINKER:--exclude-libs,ALL LINKER:--disable-new-dtags LINKER:-z,relro,-z,now LINKER:-z,noexecstack)
  if(NOT PLIMSOLL_SANITIZE AND NOT "${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS}" MATCHES "-fsanitize=")
    target_link_options(${arg_TARGET} PRIVATE LINKER:-z,defs)
  endif()

  plimsoll_named_files("${manifest}" named)
  plimsoll_identity_program(program program_depends)
  # The header is written only where it changes, so that nothing is compiled again for nothing; the stamp says when it was looked at.
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/${arg_TARGET}_generated")
  file(MAKE_DIRECTORY "${generated}")
  if(EXISTS "${program}")
    execute_process(COMMAND "${program}" plugins identity "${manifest}" -o "${generated}/plimsoll_identity.h"
      RESULT_VARIABLE code OUTPUT_VARIABLE said ERROR_VARIABLE said)
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "plimsoll_add_plugin(NAME ${arg_NAME}): the manifest is refused:\n  ${said}") # indented: not wrapped
    endif()
  endif()
  add_custom_command(OUTPUT "${generated}/identity.stamp"
    BYPRODUCTS "${generated}/plimsoll_identity.h"
    COMMAND ${program} plugins identity "${manifest}" -o "${generated}/plimsoll_identity.h"
    COMMAND ${CMAKE_COMMAND} -E touch "${generated}/identity.stamp"
    DEPENDS "${manifest}" ${named} ${program_depends}
    COMMENT "Identity of plugin ${arg_NAME}" VERBATIM)
  target_sources(${arg_TARGET} PRIVATE "${generated}/identity.stamp")
  target_include_directories(${arg_TARGET} PRIVATE "${generated}")

  plimsoll_copy_beside(${arg_TARGET}_manifest "${folder}" "${manifest}" "${named}")
  add_dependencies(${arg_TARGET} ${arg_TARGET}_manifest)
  if(arg_INSTALL)
    install(TARGETS ${arg_TARGET} LIBRARY DESTINATION lib/plimsoll/plugins/${arg_NAME})
    install(FILES "${manifest}" DESTINATION lib/plimsoll/plugins/${arg_NAME} RENAME plugin.yaml)
    install(FILES ${named} DESTINATION lib/plimsoll/plugins/${arg_NAME})
  endif()
endfunction()
