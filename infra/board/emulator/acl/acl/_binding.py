"""Every function of the pyACL binding: its name, the arguments that it parses and the values that it returns.

`name:arguments>values`, with the letters of CPython's `PyArg_ParseTuple` and `Py_BuildValue`: `k` and `K` take a real
`int` (no None, no NumPy integer), `i` and `I` whatever has `__index__`, `s` a `str`, `O` anything, `f` a number; `-`
ignores all arguments, `*` stands for arguments that the stand-in does not check. `N` is None. Source:
docs/reference/pyacl.md §4.4.
"""

ACL = """
init:|s>i finalize:->i finalize_reference:->Ki get_version:->iiii get_soc_name:->s float16_to_float:H>f
float_to_float16:f>H create_data_buffer:kk>k destroy_data_buffer:k>i get_data_buffer_addr:k>k get_data_buffer_size:k>k
get_data_buffer_size_v2:k>k update_data_buffer:kkk>i data_type_size:i>k create_tensor_desc:iOi>k destroy_tensor_desc:k>N
get_tensor_desc_type:k>i get_tensor_desc_format:k>i get_tensor_desc_size:k>k get_tensor_desc_element_count:k>k
get_tensor_desc_num_dims:k>k get_tensor_desc_dim:kk>L get_tensor_desc_dim_v2:kk>Li get_tensor_desc_dim_range:kkk>Oi
get_tensor_desc_name:k>s set_tensor_desc_name:ks>N get_tensor_desc_address:k>k get_tensor_desc_by_index:kk>k
trans_tensor_desc_format:ki>ki app_log:is>N set_tensor_storage_format:ki>i set_tensor_storage_shape:kO>i
set_tensor_format:ki>i set_tensor_shape:kO>i set_tensor_origin_format:ki>i set_tensor_origin_shape:kO>i
set_tensor_dynamic_input:ks>i set_tensor_shape_range:kO>i set_tensor_place_ment:ki>i set_tensor_const:kkk>i
set_tensor_value_range:kO>i get_recent_err_msg:->s get_cann_attribute_list:->Oki get_cann_attribute:i>ii
get_device_capability:Ii>Li get_cann_version:I>Oi get_version_str:s>si
"""

RT = """
set_device:i>i reset_device:i>i reset_device_force:i>i get_device:->ii get_device_count:->Ii get_run_mode:->ii
set_ts_device:i>i set_device_sat_mode:i>i get_device_sat_mode:->ki get_device_utilization_rate:i>Oi
query_device_status:i>Ii device_task_abort:iI>i get_device_info:II>ii device_get_stream_priority_range:->iii
get_device_capability:iI>ii get_device_res_limit:iI>Ii set_device_res_limit:iII>i reset_device_res_limit:i>i
get_devices_topo:II>Ii device_get_uuid:i>Oi device_get_bare_tgid:->ii device_peer_access_status:ii>ii
device_can_access_peer:ii>ii device_enable_peer_access:iI>i device_disable_peer_access:i>i
get_logic_dev_id_by_user_dev_id:i>ii get_user_dev_id_by_logic_dev_id:i>ii get_logic_dev_id_by_phy_dev_id:i>ii
get_phy_dev_id_by_logic_dev_id:i>ii create_context:i>ki destroy_context:k>i set_context:k>i get_context:->ki
ctx_get_current_default_stream:*>ki get_overflow_status:*>i reset_overflow_status:*>i ctx_set_sys_param_opt:*>i
ctx_get_sys_param_opt:*>Li set_sys_param_opt:*>i get_sys_param_opt:*>Li get_primary_ctx_state:*>Iii
malloc:ki>ki malloc_align32:ki>ki malloc_cached:ki>ki malloc_with_cfg:kiO>ki malloc_for_task_scheduler:kiO>ki
malloc_host:k>ki malloc_host_with_cfg:*>ki free:k>i free_host:k>i mem_flush:kk>i mem_invalidate:kk>i
get_mem_info:i>kki memset:kkik>i memset_async:kkikk>i memcpy:kkkki>i memcpy_async:kkkkik>i memcpy2d:kkkkkki>i
memcpy2d_async:kkkkkkik>i memcpy_async_with_condition:kkkkik>i get_memcpy_desc_size:i>ki set_memcpy_desc:kikkkk>ki
memcpy_async_with_desc:kik>i reserve_mem_address:kkkK>ki release_mem_address:k>i malloc_physical:kOK>ki
free_physical:k>i map_mem:kkkkK>i unmap_mem:k>i mem_export_to_shareable_handle:kiK>Ki
mem_set_pid_to_shareable_handle:KO>i mem_import_from_shareable_handle:Ki>ki mem_get_allocation_granularity:Oi>ki
get_mem_uce_info:iI>Oi mem_uce_repair:iO>i pointer_get_attributes:k>Oi host_register:kki>ki host_register_v2:KKI>i
host_unregister:k>i host_get_device_pointer:KI>Ki ipc_mem_get_export_key:kkkK>si ipc_mem_set_import_pid:sO>i
ipc_mem_import_by_key:sK>ki ipc_mem_close:s>i value_write:kkIk>i value_wait:kkIk>i cmo_async:*>i
create_stream:->ki create_stream_with_config:ii>ki destroy_stream:k>i destroy_stream_force:k>i synchronize_stream:k>i
synchronize_stream_with_timeout:ki>i stream_query:k>Ii stream_abort:k>i stream_get_id:k>ii get_stream_available_num:->Ii
set_stream_overflow_switch:kI>i get_stream_overflow_switch:k>ki set_stream_failure_mode:kI>i set_stream_attribute:kiO>i
get_stream_attribute:ki>Oi get_stream_res_limit:ki>Ii set_stream_res_limit:kiI>i reset_stream_res_limit:k>i
use_stream_res_in_current_thread:k>i unuse_stream_res_in_current_thread:k>i get_res_in_current_thread:i>Ii
stream_wait_event:kk>i synchronize_device:->i synchronize_device_with_timeout:i>i create_event:->ki
create_event_with_flag:I>ki create_event_ex_with_flag:I>ki destroy_event:k>i record_event:kk>i reset_event:kk>i
query_event:k>Ii query_event_status:k>Ii query_event_wait_status:k>ki synchronize_event:k>i
synchronize_event_with_timeout:ki>i event_elapsed_time:kk>fi event_get_timestamp:k>Ki get_event_id:k>ki
get_event_avail_num:->ki process_report:i>i subscribe_report:Kk>i unsubscribe_report:Kk>i launch_callback:OOik>i
reduce_async:kkkiikk>i get_thread_last_task_id:->Ki set_exception_info_callback:|O>i
get_error_code_from_exception_info:k>I get_task_id_from_exception_info:k>I get_stream_id_from_exception_info:k>I
get_thread_id_from_exception_info:k>I get_device_id_from_exception_info:k>I set_op_wait_timeout:I>i
set_op_execute_time_out:I>i set_op_execute_timeout_v2:*>Ki get_op_timeout_interval:*>Ki get_op_execute_timeout:*>Ii
peek_at_last_error:i>i get_last_error:i>i binary_load_from_file:*>ki binary_load_from_data:*>ki get_function_addr:*>kki
get_function_name:*>si register_cpu_func:*>ki create_binary:*>k destroy_binary:*>i binary_load:*>ki binary_unload:*>i
binary_get_function:*>ki launch_kernel:*>i launch_kernel_with_config:*>i kernel_args_init:*>ki
kernel_args_init_by_user_mem:*>i kernel_args_get_mem_size:*>ki kernel_args_get_handle_mem_size:*>ki
kernel_args_append:*>ki kernel_args_append_place_holder:*>ki kernel_args_get_place_holder_buffer:*>ki
kernel_args_para_update:*>i kernel_args_finalize:*>i allocator_create_desc:*>k allocator_destroy_desc:*>i
allocator_set_obj_to_desc:*>i allocator_set_alloc_func_to_desc:*>i allocator_set_free_func_to_desc:*>i
allocator_set_alloc_advise_func_to_desc:*>i allocator_set_get_addr_from_block_func_to_desc:*>i allocator_register:*>i
allocator_unregister:*>i create_notify:*>ki destroy_notify:*>i record_notify:*>i wait_and_reset_notify:*>i
get_notify_id:*>ki notify_batch_reset:*>i notify_get_export_key:*>si notify_set_import_pid:*>i
notify_import_by_key:*>ki set_group:*>i get_group_count:*>ii create_group_info:*>k destroy_group_info:*>i
get_all_group_info:*>i get_group_info_detail:*>Oi
"""

MDL = """
load_from_file:s>Ii load_from_mem:kk>Ii load_from_file_with_mem:skkkk>Ii load_from_mem_with_mem:kkkkkk>Ii unload:I>i
query_size:s>kki query_size_from_mem:kk>kki execute:Ikk>i execute_async:Ikkk>i execute_v2:Ikkkk>i create_dataset:->k
destroy_dataset:k>i add_dataset_buffer:kk>ki get_dataset_buffer:kk>k get_dataset_num_buffers:k>k
set_dataset_tensor_desc:kkk>ki get_dataset_tensor_desc:kk>k create_desc:->k get_desc:kI>i destroy_desc:k>i
get_desc_from_file:ks>i get_desc_from_mem:kkk>i get_num_inputs:k>k get_num_outputs:k>k get_input_size_by_index:kk>k
get_output_size_by_index:kk>k get_input_dims:kk>Oi get_input_dims_v2:kk>Oi get_input_dims_range:kk>Oi
get_output_dims:kk>Oi get_cur_output_dims:kk>Oi get_input_name_by_index:kk>s get_output_name_by_index:kk>s
get_input_format:kk>i get_output_format:kk>i get_input_data_type:kk>i get_output_data_type:kk>i
get_input_index_by_name:ks>ki get_output_index_by_name:ks>ki get_dynamic_batch:k>Oi get_dynamic_hw:kk>Oi
set_dynamic_batch_size:IkkK>i set_dynamic_hw_size:IkkKK>i set_input_dynamic_dims:IkkO>i
get_input_dynamic_gear_count:kk>ki get_input_dynamic_dims:kkk>Oi get_tensor_real_name:ks>s get_op_attr:kss>s
create_and_get_op_desc:IIIk>skkkki init_dump:->i finalize_dump:->i set_dump:|s>i dump_reg_callback:Oi>i
dump_unreg_callback:->N create_config_handle:->k destroy_config_handle:k>i set_config_opt:kiO>i load_with_config:k>Ii
create_exec_config_handle:->k destroy_exec_config_handle:k>i set_exec_config_opt:kkI>i create_aipp:K>k destroy_aipp:k>i
get_aipp_data_size:K>Ii get_aipp_type:Ik>iki get_first_aipp_info:*>Oi set_aipp_input_format:*>i set_aipp_csc_params:*>i
set_aipp_rbuv_swap_switch:kb>i set_aipp_ax_swap_switch:kb>i set_aipp_src_image_size:kii>i set_aipp_crop_params:kbiiiiK>i
set_aipp_padding_params:kbiiiiK>i set_aipp_dtc_pixel_mean:khhhhK>i set_aipp_dtc_pixel_min:kffffK>i
set_aipp_pixel_var_reci:kffffK>i set_aipp_scf_params:kbiiiiK>i set_input_aipp:Ikkk>i set_aipp_by_input_index:Ikkk>i
bundle_load_from_file:s>Ii bundle_load_from_mem:kk>Ii bundle_unload:I>i bundle_get_model_id:Ik>Ii
bundle_get_model_num:I>Ii load_from_file_with_q:skkkk>Ii load_from_mem_with_q:kkkkkk>Ii
"""

OP = """
set_model_dir:s>i load:kk>i execute:sOOOOkk>i execute_v2:sOOOOkk>i create_attr:->k destroy_attr:k>N set_attr_bool:ksB>i
set_attr_int:ksL>i set_attr_float:ksf>i set_attr_string:kss>i set_attr_list_bool:ksO>i set_attr_list_int:ksO>i
set_attr_list_float:ksO>i set_attr_list_string:ksO>i set_attr_list_list_int:ksO>i set_attr_data_type:ksi>ki
set_attr_list_data_type:ksO>ki create_handle:sOOk>ki destroy_handle:k>N execute_with_handle:kOOk>i cast:kkkkBk>i
create_handle_for_cast:kkB>ki infer_shape:sOOiOk>i update_params:sOOk>i register_compile_func:sO>i
unregister_compile_func:s>i create_kernel:ssskiii>i set_kernel_args:ksIkI>i set_kernel_workspace_sizes:kik>i
start_dump_args:Is>i stop_dump_args:I>i set_max_op_queue_num:K>i
"""

UTIL = """
numpy_to_ptr:O>k numpy_contiguous_to_ptr:O>kO ptr_to_numpy:kOi>O bytes_to_ptr:O>k ptr_to_bytes:kk>O start_thread:OO>Ki
stop_thread:K>i
"""

PROF = """
init:s>i finalize:->i create_config:OikK>k destroy_config:k>i start:k>i stop:k>i model_subscribe:Ik>i
model_un_subscribe:I>i model_unsubscribe:I>i create_subscribe_config:bii>k destroy_subscribe_config:k>i
get_op_desc_size:->ki get_op_num:kk>ki get_op_type:kkIk>si get_op_name:kkIk>si get_op_type_v2:kkI>si
get_op_name_v2:kkI>si get_op_type_len:kkI>ki get_op_name_len:kkI>ki get_op_start:kkI>K get_op_end:kkI>K
get_op_duration:kkI>K get_model_id:kkI>k create_step_info:->k destroy_step_info:k>N get_step_timestamp:kik>i
create_stamp:->k destroy_stamp:k>N push:k>i pop:->i range_start:k>Ii range_stop:I>i set_stamp_trace_message:ksI>i
mark:k>i mark_ex:sk>i set_config:is>i
"""

BLAS = """
gemv_ex:*>i create_handle_for_gemv_ex:*>ki hgemv:*>i create_handle_for_hgemv:*>ki s8gemv:*>i
create_handle_for_s8gemv:*>ki gemm_ex:*>i create_handle_for_gemm_ex:*>ki hgemm:*>i create_handle_for_hgemm:*>ki
s8gemm:*>i create_handle_for_s8gemm:*>ki
"""

FV = """
create_init_para:*>k destory_init_para:*>i destroy_init_para:*>i set_1n_top_num:*>i set_nm_top_num:*>i init:*>i
release:*>i repo_add:*>i repo_del:*>i create_feature_info:*>k destroy_feature_info:*>i create_repo_range:*>k
destroy_repo_range:*>i delete:*>i modify:*>i create_query_table:*>k destroy_query_table:*>i create_search_input:*>k
destroy_search_input:*>i create_search_result:*>k destroy_search_result:*>i search:*>i
"""
