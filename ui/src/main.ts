import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';
import { show } from './lib/theme.svelte';

show();
const target = document.getElementById('app');
if (target) mount(App, { target });
