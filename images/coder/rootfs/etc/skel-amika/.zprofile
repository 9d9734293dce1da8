emulate sh -c 'source ~/.profile'
