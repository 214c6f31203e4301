# Include directories that exist on one machine only, in exported targets of ROS 2 interfaces.

# Drops include directories that do not exist from all targets that other packages have exported.
#
# ROS 2 packages from Python wheels name directories of the machine that the wheels were made on,
# and CMake refuses such targets. Nothing changes where all directories exist.
function(drop_missing_include_directories)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT directories)
      continue()
    endif()
    set(kept)
    foreach(directory IN LISTS directories)
      if(directory MATCHES "^\\$<" OR EXISTS "${directory}")
        list(APPEND kept "${directory}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
  endforeach()
endfunction()

# Keeps absolute include directories of a target of ours out of what it exports.
#
# rosidl exports those of Python and NumPy. CMake refuses that if they lie in the source directory,
# as with a virtual environment next to the sources.
function(keep_include_directories_local target)
  get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
  list(TRANSFORM directories REPLACE "^(/.*)$" "$<BUILD_INTERFACE:\\1>")
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${directories}")
endfunction()
